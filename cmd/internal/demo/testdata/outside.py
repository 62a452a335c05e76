"""Logs in as an outside program would that knows nothing of Suti but the demo
file: OpenID Connect by its discovery, pages by their forms, no JavaScript, only
Python's standard library. Prints what the ID token and userinfo say."""
import base64, hashlib, html.parser, json, secrets, sys
import http.cookiejar, urllib.error, urllib.parse, urllib.request

demo = json.load(open(sys.argv[1]))
client = next(c for c in demo["clients"] if c["client_id"] == sys.argv[2])
person = demo["people"][int(sys.argv[3])]
callback = next(u for u in client["redirect_uris"] if "9876" in u)


class Arrived(Exception):
    pass


class Follow(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if newurl.startswith(callback):
            raise Arrived(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


jar = http.cookiejar.CookieJar()
web = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), Follow)


class Forms(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms, self.form = [], None

    def handle_starttag(self, tag, pairs):
        at = dict(pairs)
        if tag == "form":
            self.form = {"action": at.get("action", ""), "method": at.get("method", "get"), "inputs": []}
            self.forms.append(self.form)
        elif tag in ("input", "button") and self.form is not None:
            self.form["inputs"].append(at)

    def handle_endtag(self, tag):
        if tag == "form":
            self.form = None


def read(url, data=None):
    """Opens a page and returns its address and forms."""
    body = urllib.parse.urlencode(data).encode() if data is not None else None
    res = web.open(urllib.request.Request(url, body, {"Origin": demo["issuer"]} if body else {}))
    forms = Forms()
    forms.feed(res.read().decode())
    return res.geturl(), forms.forms


def answer(forms):
    """Fills in the form that can go on, by the standard tokens of its inputs."""
    for f in forms:
        tokens = {i.get("autocomplete") for i in f["inputs"]}
        accept = [i for i in f["inputs"] if i.get("name") == "decision" and i.get("value") == "accept"]
        if f["method"] != "post" or not (tokens & {"username", "current-password", "one-time-code"} or accept):
            continue
        data = {}
        for i in f["inputs"]:
            kind, name = i.get("type", "text"), i.get("name")
            if not name:
                continue
            if i.get("autocomplete") == "username":
                data[name] = person["login"]
            elif i.get("autocomplete") == "current-password":
                data[name] = person["password"]
            elif i.get("autocomplete") == "one-time-code":
                data[name] = person["code_card"][i["data-cell"]]
            elif kind == "hidden" or kind == "radio" and "checked" in i:
                data[name] = i.get("value", "")
        if accept:
            data["decision"] = "accept"
        return f["action"], data
    raise SystemExit("no form to go on with: %r" % forms)


meta = json.load(web.open(demo["issuer"] + "/.well-known/openid-configuration"))
verifier, state, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16), secrets.token_urlsafe(16)
challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
url = meta["authorization_endpoint"] + "?" + urllib.parse.urlencode({
    "response_type": "code", "client_id": client["client_id"], "redirect_uri": callback, "scope": "openid profile",
    "state": state, "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256"})
data = None
try:
    for _ in range(8):
        at, forms = read(url, data)
        action, data = answer(forms)
        url = urllib.parse.urljoin(at, action)
    raise SystemExit("no end to the pages at " + at)
except Arrived as a:
    back = urllib.parse.parse_qs(urllib.parse.urlparse(str(a)).query)
if back.get("state") != [state] or back.get("iss") != [demo["issuer"]] or "code" not in back:
    raise SystemExit("answer: %r" % back)
basic = base64.b64encode(("%s:%s" % (client["client_id"], client["client_secret"])).encode()).decode()
token = json.load(web.open(urllib.request.Request(meta["token_endpoint"], urllib.parse.urlencode({
    "grant_type": "authorization_code", "code": back["code"][0], "redirect_uri": callback, "code_verifier": verifier}).encode(),
    {"Authorization": "Basic " + basic})))
claims = json.loads(base64.urlsafe_b64decode(token["id_token"].split(".")[1] + "=="))
info = json.load(web.open(urllib.request.Request(meta["userinfo_endpoint"], headers={"Authorization": "Bearer " + token["access_token"]})))
if claims["nonce"] != nonce or claims["sub"] != info["sub"]:
    raise SystemExit("claims: %r, userinfo: %r" % (claims, info))
print(json.dumps({"names": info.get("name"), "acr": claims.get("acr")}))
