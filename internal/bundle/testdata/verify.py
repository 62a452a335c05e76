#!/usr/bin/env python3
"""A second verifier of Suti's evidence, written from docs/signing.md, docs/acts.md,
docs/evidence-bundle.md and docs/log-format.md, with the standard library only.

  verify.py chain  chain.json    answers the questions of a chain vector
  verify.py bundle llave.json    checks a bundle vector: form, acts, key, assertion, post, log

X.509, CMS, OCSP and time-stamps are left to other tools. Exit code 0: as the vector says.
"""
import base64, hashlib, json, re, struct, sys
from datetime import datetime, timezone

def sha(b): return hashlib.sha256(b).digest()

class Bad(Exception):
    """A refusal; its text is the reason's code."""

def need(ok, code):
    if not ok:
        raise Bad(code)

# --- signatures -------------------------------------------------------------------------------

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)

def p256_add(a, b):
    if a is None: return b
    if b is None: return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0: return None
        m = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        m = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (m * m - a[0] - b[0]) % P
    return x, (m * (a[0] - x) - a[1]) % P

def p256_mul(k, a):
    out = None
    while k:
        if k & 1: out = p256_add(out, a)
        a, k = p256_add(a, a), k >> 1
    return out

def p256_verify(x, y, message, der):
    need((y * y - x * x * x + 3 * x - B) % P == 0 and max(x, y) < P, "signature")
    m = re.fullmatch(rb"\x30(.)\x02(.)(.*)", der, re.S)
    need(m and m[1][0] == len(der) - 2, "signature")
    rlen, rest = m[2][0], m[3]
    rb, rest = rest[:rlen], rest[rlen:]
    need(rest[:1] == b"\x02" and rest[1] == len(rest) - 2, "signature")
    sb = rest[2:]
    for v in (rb, sb):
        need(v and v[0] < 0x80 and not (len(v) > 1 and v[0] == 0 and v[1] < 0x80), "signature")
    r, s = int.from_bytes(rb, "big"), int.from_bytes(sb, "big")
    need(0 < r < N and 0 < s < N, "signature")
    e, w = int.from_bytes(sha(message), "big"), pow(s, -1, N)
    point = p256_add(p256_mul(e * w % N, G), p256_mul(r * w % N, (x, y)))
    need(point is not None and point[0] % N == r, "signature")

Q = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, Q) % Q

def ed_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(x2, (Q + 3) // 8, Q)
    if (x * x - x2) % Q: x = x * pow(2, (Q - 1) // 4, Q) % Q
    need((x * x - x2) % Q == 0, "signature")
    return Q - x if x & 1 != sign else x

def ed_point(b):
    y = int.from_bytes(b, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    need(y < Q, "signature")
    return ed_x(y, sign), y

def ed_add(a, b):
    t = D * a[0] * b[0] * a[1] * b[1] % Q
    return ((a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, Q) % Q, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, Q) % Q)

def ed_mul(k, a):
    out = (0, 1)
    while k:
        if k & 1: out = ed_add(out, a)
        a, k = ed_add(a, a), k >> 1
    return out

def ed_verify(public, message, sig):
    need(len(sig) == 64, "signature")
    y = 4 * pow(5, -1, Q) % Q
    s = int.from_bytes(sig[32:], "little")
    need(s < L, "signature")
    a, r = ed_point(public), ed_point(sig[:32])
    h = int.from_bytes(hashlib.sha512(sig[:32] + public + message).digest(), "little") % L
    need(ed_mul(s, (ed_x(y, 0), y)) == ed_add(r, ed_mul(h, a)), "signature")

def verify_key(cose, message, sig):
    m = re.fullmatch(rb"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20(.{32})\x22\x58\x20(.{32})", cose, re.S)
    if m:
        return p256_verify(int.from_bytes(m[1], "big"), int.from_bytes(m[2], "big"), message, sig)
    m = re.fullmatch(rb"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20(.{32})", cose, re.S)
    need(m, "signature")  # RS256 is left out here
    ed_verify(m[1], message, sig)

def assertion(cose, auth, client, sig, challenge, rp_id, origins):
    """docs/signing.md section 4; returns the BE flag."""
    def once(pairs):
        need(len({k for k, _ in pairs}) == len(pairs), "signature")
        return dict(pairs)
    c = json.loads(client.decode("utf-8"), object_pairs_hook=once)
    text = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
    need(c["type"] == "webauthn.get" and c["challenge"] == text and c["origin"] in origins, "signature")
    need(c.get("crossOrigin", False) is False and "topOrigin" not in c, "signature")
    flags = auth[32]
    need(len(auth) == 37 and auth[:32] == sha(rp_id.encode()), "signature")  # no extensions here
    need(flags & 0x05 == 0x05 and not flags & 0x40 and not (flags & 0x10 and not flags & 0x08), "signature")
    verify_key(cose, auth + sha(client), sig)
    return bool(flags & 0x08)

# --- encodings --------------------------------------------------------------------------------

class Fields:
    def __init__(self, tag, raw):
        tag = tag.encode() + b"\0"
        need(raw.startswith(tag), "encoding")
        self.raw, self.at = raw, len(tag)

    def raw_field(self):
        need(len(self.raw) >= self.at + 4, "encoding")
        n = struct.unpack_from(">I", self.raw, self.at)[0]
        out = self.raw[self.at + 4:self.at + 4 + n]
        need(len(out) == n, "encoding")
        self.at += 4 + n
        return out

    def text(self): return self.raw_field().decode("utf-8")

    def size(self, *sizes):
        v = self.raw_field()
        need(len(v) in sizes, "value")
        return v

    def hash(self): return self.size(32)
    def time(self): return int.from_bytes(self.size(8), "big")
    def flag(self): return self.size(1) == b"\1"
    def list(self, each): return [each() for _ in range(int.from_bytes(self.size(4), "big"))]
    def end(self): need(self.at == len(self.raw), "encoding")

    def key(self): return dict(cose=self.raw_field(), aaguid=self.size(16), backup=self.text(), attestation=self.text())

    def settings(self):
        return dict(origins=self.list(self.text), log_origin=self.text(), log_key=self.text(), policy=self.text())

def lp(tag, *fields):
    return tag.encode() + b"\0" + b"".join(struct.pack(">I", len(f)) + f for f in fields)

def statement(raw):
    f = Fields("suti/act/v1", raw)
    s = dict(kind=f.text(), id=f.text(), genesis=f.size(0, 32), at=f.time(), hash=sha(raw))
    t, h = f.text, f.hash
    def named(*names): s.update((n, t()) for n in names)
    k = s["kind"]
    if k == "genesis":
        named("name", "rp_id")
        s.update(f.settings())
        s["founders"] = f.list(lambda: dict(person=t(), roles=f.list(t), keys=f.list(f.key)))
    elif k == "amendment":
        s.update(f.settings()); named("proposer")
    elif k == "enrolment":
        named("person", "level")
        s["keys"], s["facts"] = f.list(f.key), f.list(lambda: (t(), h()))
        named("registrar", "site", "policy")
        s.update(replaces=f.flag(), valid_from=f.time(), valid_to=f.time())
    elif k == "key-addition":
        named("person")
        s.update(earlier=h(), key=f.key(), level=t(), valid_from=f.time(), valid_to=f.time())
    elif k == "role-grant":
        named("person", "role", "institution")
        s.update(valid_from=f.time(), valid_to=f.time(), proposer=t())
    elif k == "appointment":
        named("appointment", "institution", "post", "person", "holding")
        s.update(exclusive=f.flag(), scopes=f.list(t), legal_act=t(), valid_from=f.time(), valid_to=f.time())
        named("proposer", "capacity")
    elif k == "approval":
        s["target"] = h(); named("target_kind", "approver", "capacity", "institution")
    elif k == "end":
        named("what", "person")
        if s["what"] == "key": s["key"] = h()
        elif s["what"] == "role": named("role", "institution")
        else: named("appointment")
        named("reason", "by", "capacity")
    elif k == "suspension":
        named("person", "reason", "by", "capacity")
    elif k == "lift":
        s["suspension"] = h(); named("person", "reason", "by", "capacity")
    elif k == "presence":
        named("person", "registrar", "site", "request_id")
        s["challenge"] = h(); named("card_label"); s["card"] = h(); named("language")
    else:
        raise Bad("value")
    f.end()
    return s

def signed_act(raw):
    f = Fields("suti/signed-act/v1", raw)
    s = statement(f.raw_field())
    s["signatures"] = f.list(lambda: dict(person=f.text(), key=f.hash(), auth=f.raw_field(), client=f.raw_field(), sig=f.raw_field()))
    f.end()
    order = [x["person"].encode() + x["key"] for x in s["signatures"]]
    need(order == sorted(set(order)), "value")
    return s

# --- the rules of docs/acts.md section 3 ----------------------------------------------------------

RANK = {"N0": 0, "N1": 1, "N2": 2, "N3": 3}
MONTH = 30 * 24 * 3600 * 10**6

def inside(span, t):
    need(t >= span[0], "not-yet")
    need(not span[1] or t < span[1], "ended")

def is_inside(span, t):
    try:
        inside(span, t)
    except Bad:
        return False
    return True

class Chain:
    def __init__(self, pinned, acts):
        self.keys, self.roles, self.posts, self.pending, self.suspended, self.present = {}, [], {}, {}, [], {}
        self.enrolled, self.ids, self.named, self.refused, self.pinned = {}, set(), {}, {}, pinned
        first = [a for a in acts if a["hash"] == pinned]
        need(first, "genesis")
        g = self.genesis = first[0]
        self.settings, self.began = [(g["at"], g)], g["at"]
        self.signatures(g)
        self.ids.add(g["id"])
        for f in g["founders"]:
            self.enrolled[f["person"]] = [(g["at"], "N3")]
            for k in f["keys"]: self.bind(k, f["person"], "N3", [g["at"], 0])
            for r in f["roles"]: self.roles.append(dict(person=f["person"], role=r, institution="", span=[g["at"], 0]))
        for a in sorted((a for a in acts if a is not g), key=lambda a: (a["at"], a["hash"])):
            for k in a.get("keys", []) + ([a["key"]] if a["kind"] == "key-addition" else []):
                self.named[sha(k["cose"])] = a
            if a["kind"] == "appointment": self.named[a["appointment"]] = a
            try:
                self.take(a)
                self.ids.add(a["id"])
            except Bad as e:
                self.refused[id(a)] = str(e)

    def bind(self, k, person, level, span):
        if k["backup"] == "multi-device" and level == "N3": level = "N2"
        b = self.keys.setdefault(sha(k["cose"]), dict(person=person, ended=0, grants=[]))
        b["grants"].append(dict(k, level=level, span=span))

    def is_suspended(self, person, t):
        return any(s["person"] == person and is_inside(s["span"], t) for s in self.suspended)

    def key(self, key, person, t):
        need(key in self.keys, "unknown-key")
        b = self.keys[key]
        need(b["person"] == person, "other-person")
        need(not b["ended"] or t < b["ended"], "ended")
        for g in reversed(b["grants"]):
            if is_inside(g["span"], t):
                need(not self.is_suspended(person, t), "suspended")
                return g
        inside(b["grants"][0]["span"], t)

    def has(self, person, role, institution, t):
        return any(r["person"] == person and r["role"] == role and r["institution"] == institution and is_inside(r["span"], t)
                   for r in self.roles)

    def signatures(self, a):
        k = a["kind"]
        want = []  # (person, fresh key or None, key id or None)
        if k == "genesis": want = [(f["person"], x, None) for f in a["founders"] for x in f["keys"]]
        elif k == "enrolment": want = [(a["registrar"], None, None)] + [(a["person"], x, None) for x in a["keys"]]
        elif k == "key-addition": want = [(a["person"], None, a["earlier"]), (a["person"], a["key"], None)]
        else: want = [(a.get("proposer") or a.get("approver") or a.get("by") or a.get("registrar"), None, None)]
        need(len(want) == len(a["signatures"]), "signatures")
        used = set()
        for person, fresh, key in want:
            key = sha(fresh["cose"]) if fresh else key
            found = [i for i, s in enumerate(a["signatures"]) if s["person"] == person and key in (None, s["key"])]
            need(found and found[0] not in used, "signatures")
            used.add(found[0])
            s = a["signatures"][found[0]]
            record = fresh or self.key(s["key"], person, a["at"])
            be = assertion(record["cose"], s["auth"], s["client"], s["sig"], a["hash"], self.genesis["rp_id"], self.settings[-1][1]["origins"])
            need(be == (record["backup"] == "multi-device"), "backup")

    def staff(self, a, person, role, institution=""):
        need(self.has(person, role, institution, a["at"]), "role")
        for s in a["signatures"]:
            if s["person"] == person and s["key"] in self.keys:
                need(RANK[self.key(s["key"], person, a["at"])["level"]] >= 2, "level")

    def free(self, keys, person, t):
        for k in keys:
            b = self.keys.get(sha(k["cose"]))
            need(not b or b["person"] == person and not (b["ended"] and b["ended"] <= t), "key-bound")

    def take(self, a):
        k, t = a["kind"], a["at"]
        need(k != "genesis", "genesis")
        need(a["genesis"] == self.pinned, "foreign")
        need(t > self.began, "time")
        need(a["id"] not in self.ids, "duplicate")
        self.signatures(a)
        if k in ("enrolment", "role-grant", "appointment", "lift", "presence"):
            need((a.get("registrar") or a.get("proposer") or a.get("by")) != a["person"], "self")
        getattr(self, "do_" + k.replace("-", "_"))(a, t)

    def do_amendment(self, a, t):
        self.staff(a, a["proposer"], "administrator")
        self.pending[a["hash"]] = a

    def do_enrolment(self, a, t):
        self.staff(a, a["registrar"], "registrar")
        self.free(a["keys"], a["person"], t)
        self.pending[a["hash"]] = a

    def do_key_addition(self, a, t):
        need(RANK[a["level"]] <= RANK[self.key(a["earlier"], a["person"], t)["level"]], "level")
        need(sha(a["key"]["cose"]) not in self.keys, "key-bound")
        self.bind(a["key"], a["person"], a["level"], [max(a["valid_from"], t), a["valid_to"]])

    def do_role_grant(self, a, t):
        self.staff(a, a["proposer"], "administrator")
        self.pending[a["hash"]] = a

    def do_appointment(self, a, t):
        self.staff(a, a["proposer"], a["capacity"], a["institution"] if a["capacity"] == "institution-admin" else "")
        need(a["appointment"] not in self.posts, "duplicate")
        self.pending[a["hash"]] = a

    def do_approval(self, a, t):
        x = self.pending.get(a["target"])
        need(x and x["kind"] == a["target_kind"], "target")
        need(x["at"] < t <= x["at"] + MONTH, "time")
        need(a["approver"] != (x.get("registrar") or x.get("proposer") or x.get("by")), "same-person")
        need(a["approver"] != x.get("person"), "self")
        first = x["kind"] == "enrolment" and not self.enrolled.get(x["person"]) and x["level"] != "N3" and not x["replaces"]
        need(a["capacity"] == "supervisor" or a["capacity"] == "registrar" and first
             or x["kind"] == "appointment" and a["capacity"] == "institution-admin" and a["institution"] == x["institution"]
             or x["kind"] == "lift" and a["capacity"] == "administrator", "capacity")
        self.staff(a, a["approver"], a["capacity"], a["institution"])
        self.effect(x, t)
        del self.pending[a["target"]]

    def effect(self, x, t):
        k = x["kind"]
        span = [max(x.get("valid_from", 0), t), x.get("valid_to", 0)]
        if k == "enrolment":
            self.free(x["keys"], x["person"], t)
            listed = {sha(key["cose"]) for key in x["keys"]}
            for i, b in self.keys.items():
                if x["replaces"] and b["person"] == x["person"] and i not in listed and not (b["ended"] and b["ended"] < t):
                    b["ended"] = t
            self.enrolled.setdefault(x["person"], []).append((t, x["level"]))
            for key in x["keys"]: self.bind(key, x["person"], x["level"], list(span))
        elif k == "role-grant":
            self.roles.append(dict(person=x["person"], role=x["role"], institution=x["institution"], span=span))
        elif k == "appointment":
            need(x["appointment"] not in self.posts, "duplicate")
            need(not span[1] or span[0] < span[1], "time")
            for o in self.posts.values():
                if o["post"] != x["post"]: continue
                need(o["institution"] == x["institution"], "post-taken")
                apart = o["span"][1] and o["span"][1] <= span[0] or span[1] and span[1] <= o["span"][0]
                need(apart or "suplente" in (o["holding"], x["holding"]) or not (o["exclusive"] or x["exclusive"]), "post-taken")
            self.posts[x["appointment"]] = dict(x, span=span)
        elif k == "amendment":
            self.settings.append((t, x))
        elif k == "lift":
            self.open_suspension(x, t)["span"][1] = t

    def open_suspension(self, x, t):
        found = [s for s in self.suspended if s["act"] == x["suspension"] and s["person"] == x["person"] and is_inside(s["span"], t)]
        need(found, "target")
        return found[0]

    def reduces(self, a, allowed, institution=""):
        need(a["capacity"] in allowed, "capacity")
        if a["capacity"] == "holder":
            need(a["by"] == a["person"], "other-person")
            return
        need(a["by"] != a["person"], "self")
        self.staff(a, a["by"], a["capacity"], institution)

    def keeps_one(self, person, role, t):
        need(role == "institution-admin" or any(
            r["person"] != person and self.has(r["person"], role, "", t) and not self.is_suspended(r["person"], t)
            for r in self.roles), "last-holder")

    def do_end(self, a, t):
        staff = {"key": ["registrar"], "role": [], "appointment": ["institution-admin"]}[a["what"]]
        ins = self.posts.get(a.get("appointment"), {}).get("institution", "") if a["capacity"] == "institution-admin" else ""
        self.reduces(a, staff + ["holder", "supervisor", "administrator"], ins)
        if a["what"] == "key":
            b = self.keys.get(a["key"])
            need(b and b["person"] == a["person"] and not (b["ended"] and b["ended"] <= t), "target")
            b["ended"] = t
            return
        if a["what"] == "role":
            if self.has(a["person"], a["role"], a["institution"], t): self.keeps_one(a["person"], a["role"], t)
            spans = [r["span"] for r in self.roles if (r["person"], r["role"], r["institution"]) == (a["person"], a["role"], a["institution"])]
        else:
            spans = [p["span"] for p in self.posts.values() if p["appointment"] == a["appointment"] and p["person"] == a["person"]]
        spans = [s for s in spans if not s[1] or t < s[1]]
        need(spans, "target")
        for s in spans: s[1] = t

    def do_suspension(self, a, t):
        held = [r["role"] for r in self.roles if r["person"] == a["person"] and is_inside(r["span"], t)]
        self.reduces(a, ["holder", "supervisor", "administrator"] + ([] if held else ["registrar"]))
        if a["capacity"] != "holder":
            for r in held: self.keeps_one(a["person"], r, t)
        need(not self.is_suspended(a["person"], t), "duplicate")
        self.suspended.append(dict(person=a["person"], act=a["hash"], span=[t, 0]))

    def do_lift(self, a, t):
        need(a["capacity"] in ("registrar", "supervisor", "administrator"), "capacity")
        self.staff(a, a["by"], a["capacity"])
        self.open_suspension(a, t)
        self.pending[a["hash"]] = a

    def do_presence(self, a, t):
        self.staff(a, a["registrar"], "registrar")
        e = self.enrolled.get(a["person"])
        need(e, "not-enrolled")
        need(e[0][0] <= t, "not-yet")
        need(not self.is_suspended(a["person"], t), "suspended")
        self.present.setdefault(a["challenge"], []).append(a)

    # Questions (docs/acts.md section 4).

    def why(self, name, code):
        a = self.named.get(name)
        if a and id(a) in self.refused: raise Bad(self.refused[id(a)])
        raise Bad("pending" if a and a["hash"] in self.pending else code)

    def ask_key(self, key, person, level, t):
        if key not in self.keys: self.why(key, "unknown-key")
        need(RANK[self.key(key, person, t)["level"]] >= RANK[level], "level")

    def ask_appointment(self, appointment, person, t):
        p = self.posts.get(appointment)
        if not p: self.why(appointment, "no-appointment")
        need(p["person"] == person, "other-person")
        inside(p["span"], t)
        need(not self.is_suspended(person, t), "suspended")

    def at(self, t): return [s for since, s in self.settings if since <= t][-1]

def micros(s): return int(datetime.fromisoformat(s.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()) * 10**6

def check_chain(v):
    acts = [signed_act(bytes.fromhex(a["bytes"])) for a in v["acts"]]
    chain = Chain(bytes.fromhex(v["genesis"]), acts)
    wrong = 0
    for a, x in zip(v["acts"], acts):
        got = chain.refused.get(id(x), "")
        if got != a["reason"]:
            wrong += 1
            print(f"act {a['name']}: got {got!r}, want {a['reason']!r}")
    for q in v["queries"]:
        got = ""
        try:
            if q["ask"] == "key": chain.ask_key(bytes.fromhex(q["key"]), q["person"], q["level"], micros(q["at"]))
            else: chain.ask_appointment(q["appointment"], q["person"], micros(q["at"]))
        except Bad as e:
            got = str(e)
        if got != q["reason"]:
            wrong += 1
            print(f"{q}: got {got!r}")
    print(f"{len(acts)} acts, {len(v['queries'])} questions, {wrong} wrong")
    return wrong == 0

# --- the log (docs/log-format.md) and the bundle --------------------------------------------------

def slp(*parts): return b"".join(struct.pack(">I", len(p)) + p for p in parts)

def receipt(text, body, vkey):
    """Checks a receipt and that it shows this body."""
    lines = text.decode().split("\n")
    need(lines[0] == "c2sp.org/tlog-proof@v1" and lines[1].startswith("extra ") and lines[2].startswith("index "), "log")
    extra, index = json.loads(base64.b64decode(lines[1][6:])), int(lines[2][6:])
    blank = lines.index("")
    path, note = [base64.b64decode(x) for x in lines[3:blank]], "\n".join(lines[blank + 1:])
    d64 = base64.b64decode
    opening = extra["body"]
    need(d64(opening["body"]) == body, "log")
    leaf = d64(extra["leaf"])
    hidden = sha(slp(b"suti/leaf-body/v1") + d64(opening["salt"]) + slp(body))
    commitment = sha(slp(b"suti/leaf-commit/v1") + d64(opening["header_hash"]) + hidden + d64(opening["content_hash"]))
    need(leaf.decode().split("\n")[3] == base64.b64encode(commitment).decode(), "log")
    signed, sigs = note.split("\n\n")
    origin, size, root = signed.split("\n")[:3]
    name, keyid, key = vkey.split("+", 2)
    key = d64(key)
    need(name == origin and sha(name.encode() + b"\n" + key)[:4].hex() == keyid and key[0] == 1, "log")
    ok = False
    for line in sigs.strip().split("\n"):
        _, who, sig = line.split(" ")
        sig = d64(sig)
        if who == name and sig[:4].hex() == keyid:
            ed_verify(key[1:], (signed + "\n").encode(), sig[4:])
            ok = True
    need(ok and 0 <= index < int(size), "log")
    h, i, last = sha(b"\0" + leaf), index, int(size) - 1
    for p in path:  # RFC 9162 section 2.1.3.2
        if i & 1 or i == last:
            h = sha(b"\1" + p + h)
            while not i & 1 and i: i, last = i >> 1, last >> 1
        else:
            h = sha(b"\1" + h + p)
        i, last = i >> 1, last >> 1
    need(last == 0 and h == d64(root), "log")

def signing(raw):
    f = Fields("suti/sign/v1", raw)
    s = dict(request_id=f.text(), person=f.text(), appointment=f.text())
    if f.text() == "certificate": s["certificate"] = f.hash()
    else: s.update(profile=f.text(), policy=f.text())
    s["documents"] = f.list(lambda: dict(sha256=f.hash(), digest=f.size(32, 48, 64), name=f.text()))
    s.update(expiry=f.time(), nonce=f.hash())
    f.end()
    return s

def check_bundle(v):
    b, d64 = json.loads(v["bundle"]), base64.b64decode
    need(json.dumps(b, sort_keys=True, separators=(",", ":"), ensure_ascii=False) == v["bundle"], "form")
    s, challenge, t = signing(d64(b["preimage"])), sha(d64(b["preimage"])), b["signed_at"]
    need([(d64(d["sha256"]), d64(d["digest"]), d["name"]) for d in b["documents"]]
         == [(d["sha256"], d["digest"], d["name"]) for d in s["documents"]], "preimage")
    need(t < s["expiry"], "expiry")
    acts = [signed_act(d64(a["act"])) for a in b["acts"]]
    chain = Chain(bytes.fromhex(v["genesis"]), acts)
    need(not chain.refused and not chain.pending, "acts")
    x, now = b["assertion"], chain.at(t)
    chain.ask_key(sha(d64(x["cose_key"])), s["person"], "N2", t)
    assertion(*[d64(x[n]) for n in ("cose_key", "authenticator_data", "client_data_json", "signature")], challenge,
              chain.genesis["rp_id"], now["origins"])
    chain.ask_appointment(s["appointment"], s["person"], t)
    need(sha(d64(b["certificates"][0])) == s["certificate"], "certificate")
    made = b""
    for d in b["documents"]:
        pages = [d64(p) for p in d["pages"]]
        shown = sha(lp("suti/shown/v1", struct.pack(">I", len(pages)), *pages)) if pages else b""
        made += slp(d64(d["digest"]), d64(d["signature_sha256"]), shown)
    listed = sha(lp("suti/signature-list/v1", struct.pack(">I", len(b["documents"]))) + made)
    body = lp("suti/signature-leaf/v1", challenge, s["certificate"], struct.pack(">Q", t), listed)
    receipt(d64(b["log"]["receipt"]), body, now["log_key"])
    for a, raw in zip(acts, b["acts"]):
        receipt(d64(raw["receipt"]), lp("suti/act-leaf/v1", a["kind"].encode(), a["hash"]), now["log_key"])
    print(f"challenge {challenge.hex()}: {len(acts)} acts, {len(b['documents'])} documents, log: as claimed")
    return True

if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        vector = json.load(file)
    sys.exit(0 if {"chain": check_chain, "bundle": check_bundle}[sys.argv[1]](vector) else 1)
