// A FAPI 2.0 client made of oauth4webapi alone: PAR, private_key_jwt, DPoP with
// the server's nonces, signed requests and responses if asked (JAR, JARM, RFC 9701), JWT access token, userinfo, refresh, introspection,
// revocation. It speaks to the test line by line: it prints {"visit": address}
// and reads the address that the browser came back to.
import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"

const o = await import(pathToFileURL(process.env.OAUTH4WEBAPI))
const conf = JSON.parse(process.env.CLIENT)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (v) => console.log(JSON.stringify(v))
const insecure = { [o.allowInsecureRequests]: true }

const issuer = new URL(conf.issuer)
const as = await o.processDiscoveryResponse(issuer, await o.discoveryRequest(issuer, insecure))
const key = await crypto.subtle.importKey("jwk", conf.key, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"])
const auth = o.PrivateKeyJwt({ key, kid: conf.key.kid })
const client = { client_id: conf.client_id, id_token_signed_response_alg: conf.alg, authorization_signed_response_alg: conf.alg }
if (conf.signed) client.introspection_signed_response_alg = conf.alg
const DPoP = o.DPoP(client, await o.generateKeyPair(conf.dpop_alg))

// again repeats a call once if the server asks for a nonce.
async function again(call) {
  try {
    return await call()
  } catch (e) {
    if (!o.isDPoPNonceError(e)) throw e
    return await call()
  }
}

const verifier = o.generateRandomCodeVerifier()
const state = o.generateRandomState()
const nonce = o.generateRandomNonce()
let params = new URLSearchParams({
  client_id: client.client_id, redirect_uri: conf.redirect_uri, response_type: "code", scope: "openid profile offline_access", state, nonce,
  code_challenge: await o.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
})
if (conf.signed) {
  params.set("response_mode", "jwt")
  params = new URLSearchParams({ client_id: client.client_id, request: await o.issueRequestObject(as, client, params, { key, kid: conf.key.kid }) })
}
const pushed = await again(async () =>
  o.processPushedAuthorizationResponse(as, client, await o.pushedAuthorizationRequest(as, client, auth, params, { DPoP, ...insecure })))
const visit = new URL(as.authorization_endpoint)
visit.searchParams.set("client_id", client.client_id)
visit.searchParams.set("request_uri", pushed.request_uri)
say({ visit: visit.href })

const address = new URL((await lines.next()).value)
const back = conf.signed ? await o.validateJwtAuthResponse(as, client, address, state, insecure) : o.validateAuthResponse(as, client, address, state)
const tokens = await again(async () =>
  o.processAuthorizationCodeResponse(as, client,
    await o.authorizationCodeGrantRequest(as, client, auth, back, conf.redirect_uri, verifier, { DPoP, ...insecure }),
    { expectedNonce: nonce, requireIdToken: true }))
const sub = o.getValidatedIdTokenClaims(tokens).sub
const who = await again(async () => o.processUserInfoResponse(as, client, sub, await o.userInfoRequest(as, client, tokens.access_token, { DPoP, ...insecure })))
const fresh = await again(async () =>
  o.processRefreshTokenResponse(as, client, await o.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, { DPoP, ...insecure })))
const told = await o.introspectionRequest(as, client, auth, fresh.access_token, insecure)
const seen = await o.processIntrospectionResponse(as, client, told)
if (conf.signed) await o.validateApplicationLevelSignature(as, told, insecure)
await o.processRevocationResponse(await o.revocationRequest(as, client, auth, fresh.refresh_token, insecure))
const after = await o.processIntrospectionResponse(as, client, await o.introspectionRequest(as, client, auth, fresh.access_token, insecure))
const downgrade = await fetch(as.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })

say({
  type: tokens.token_type, sub, name: who.name, jkt: seen.cnf?.jkt, thumbprint: await DPoP.calculateThumbprint(),
  active: seen.active, after: after.active, downgrade: downgrade.status,
})
process.exit(0)
