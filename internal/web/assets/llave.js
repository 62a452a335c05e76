// Runs a passkey ceremony for a form: <form data-llave="get|create" data-options=URL data-finish=URL>.
// Texts stand in the page as [data-problem=…], hidden until they are needed.
const bytes = s => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0)).buffer
const text = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")
const ids = list => (list || []).map(c => ({ ...c, id: bytes(c.id) }))

function options(o, create) {
  const name = create ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON"
  if (PublicKeyCredential[name]) return PublicKeyCredential[name](o)
  o = { ...o, challenge: bytes(o.challenge) }
  if (create) return { ...o, user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: ids(o.excludeCredentials) }
  return { ...o, allowCredentials: ids(o.allowCredentials) }
}

function answer(c) {
  if (c.toJSON) return c.toJSON()
  const r = c.response, out = { clientDataJSON: text(r.clientDataJSON) }
  for (const k of ["attestationObject", "authenticatorData", "signature", "userHandle"]) if (r[k]) out[k] = text(r[k])
  if (r.getTransports) out.transports = r.getTransports()
  return { id: c.id, rawId: text(c.rawId), type: c.type, response: out, clientExtensionResults: c.getClientExtensionResults() }
}

async function post(url, body) {
  const r = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
  const j = await r.json().catch(() => ({}))
  if (!r.ok && !j.problem) j.problem = "servicio"
  return j
}

async function run(form) {
  const create = form.dataset.llave === "create"
  const fields = Object.fromEntries(new FormData(form))
  const begun = await post(form.dataset.options, fields)
  if (begun.problem) return begun
  const publicKey = options(begun.options.publicKey, create)
  const made = await navigator.credentials[create ? "create" : "get"]({ publicKey })
  return post(form.dataset.finish, { ...fields, id: begun.id, response: answer(made) })
}

const kinds = { NotAllowedError: "cancelado", AbortError: "cancelado", InvalidStateError: "ya-tiene", NotSupportedError: "sin-apoyo", SecurityError: "direccion", ConstraintError: "sin-bloqueo", TypeError: "sin-red" }

for (const form of document.querySelectorAll("form[data-llave]")) {
  const button = form.querySelector("button"), alert = form.querySelector("[role=alert]")
  const show = kind => {
    const p = form.querySelector(`[data-problem="${kind}"]`) || form.querySelector('[data-problem="servicio"]')
    alert.textContent = p ? p.textContent : ""
    alert.hidden = false
    alert.focus()
  }
  form.hidden = false
  if (!self.PublicKeyCredential) { button.disabled = true; show("sin-apoyo") }
  form.addEventListener("submit", async e => {
    e.preventDefault()
    button.disabled = true
    alert.hidden = true
    try {
      const end = await run(form)
      if (end.next) return location.assign(end.next)
      show(end.problem)
    } catch (x) { show(kinds[x.name]) }
    button.disabled = false
  })
}
