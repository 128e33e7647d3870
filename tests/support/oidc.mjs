// An OpenID provider that nobody here wrote (npm oidc-provider), and a store of documents that asks it about every token.
import Provider from 'oidc-provider'
import http from 'node:http'

const [port, storePort] = process.argv.slice(2).map(Number)
const issuer = `http://127.0.0.1:${port}`
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'kith', client_secret: 's3cr3t: with % signs+', redirect_uris: [], response_types: [],
    grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_basic',
  }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  scopes: ['write'],
  ttl: { ClientCredentials: 2 },
})
const store = new Map()
http.createServer(async (request, response) => {
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
  const known = token && await provider.ClientCredentials.find(token)
  let body = ''
  for await (const chunk of request) body += chunk
  if (!known) return response.writeHead(401, { 'www-authenticate': 'Bearer' }).end(`{"no":"${token}"}`)
  if (request.method === 'GET') return response.writeHead(200).end(JSON.stringify([...store.keys()]))
  const status = store.has(request.url) ? 204 : 201
  store.set(request.url, body)
  response.writeHead(status).end()
}).listen(storePort, '127.0.0.1', () => provider.listen(port, '127.0.0.1'))
