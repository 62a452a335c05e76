// The passkey ceremony of <form data-llave="get|create" data-options=URL data-finish=URL>,
// with hidden texts [data-problem=…].
const bytes = s => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0)).buffer
const text = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")
const ids = list => (list || []).map(c => ({ ...c, id: bytes(c.id) }))

function options(o, create) {
  const parse = `parse${create ? "Creation" : "Request"}OptionsFromJSON`
  if (PublicKeyCredential[parse]) return PublicKeyCredential[parse](o)
  o = { ...o, challenge: bytes(o.challenge), allowCredentials: ids(o.allowCredentials), excludeCredentials: ids(o.excludeCredentials) }
  return create ? { ...o, user: { ...o.user, id: bytes(o.user.id) } } : o
}

function answer(c) {
  if (c.toJSON) return c.toJSON()
  const r = c.response, out = { transports: r.getTransports && r.getTransports() }
  for (const k of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) if (r[k]) out[k] = text(r[k])
  return { id: c.id, rawId: text(c.rawId), type: c.type, response: out, clientExtensionResults: c.getClientExtensionResults() }
}

async function post(url, body) {
  const r = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
  const j = await r.json().catch(() => ({}))
  return r.ok ? j : { problem: "servicio", ...j }
}

async function run(form) {
  const create = form.dataset.llave === "create", fields = Object.fromEntries(new FormData(form))
  const begun = await post(form.dataset.options, fields)
  if (begun.problem) return begun
  const made = await navigator.credentials[create ? "create" : "get"]({ publicKey: options(begun.options.publicKey, create) })
  return post(form.dataset.finish, { ...fields, id: begun.id, response: answer(made) })
}

// What error names mean; others are "servicio".
const kinds = {
  cancelado: /NotAllowed|Abort|Timeout|Unknown/, "ya-tiene": /InvalidState/, "sin-apoyo": /NotSupported/,
  direccion: /Security/, "sin-bloqueo": /Constraint/, "sin-red": /Type|Network/
}

for (const form of document.querySelectorAll("form[data-llave]")) {
  const find = s => form.querySelector(s), button = find("button"), alert = find("[role=alert]")
  const show = kind => {
    const p = find(`[data-problem="${kind}"]`) || find("[data-problem=servicio]")
    alert.textContent = p ? p.textContent : ""
    alert.hidden = false
    alert.focus()
  }
  form.hidden = false
  if (!self.PublicKeyCredential) { button.disabled = true; show("sin-apoyo") }
  form.addEventListener("submit", async e => {
    e.preventDefault()
    button.disabled = alert.hidden = true
    try {
      const end = await run(form)
      if (end.next) return location.assign(end.next)
      show(end.problem)
    } catch (x) { show(Object.keys(kinds).find(k => kinds[k].test(x.name))) }
    button.disabled = false
  })
}
