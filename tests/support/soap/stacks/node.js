// node `soap`: /crm speaks SOAP 1.1, /crm12 1.2; WS-Security UsernameToken as text or digest, each nonce once, Created within five minutes.
const http = require('http'), fs = require('fs'), path = require('path'), crypto = require('crypto')
const soap = require(path.join(process.argv[2], 'node_modules/soap'))
const port = +process.argv[3], skew = +(process.argv[4] || 0) * 1000
const USER = 'svc', PASSWORD = 's3cret&<>'
const wsdl = fs.readFileSync(path.join(__dirname, 'stack.wsdl'), 'utf8').replace('http://127.0.0.1/crm12', `http://127.0.0.1:${port}/crm12`).replace('http://127.0.0.1/crm"', `http://127.0.0.1:${port}/crm"`)
const store = new Map(), nonces = new Set()
const fault11 = (faultcode, faultstring, Code, Retryable) => ({ Fault: { faultcode, faultstring, detail: { CrmFault: { attributes: { xmlns: 'urn:example:stack:v1' }, Code, Retryable } }, statusCode: 500 } })
const fault12 = (side, text, code) => ({ Fault: { Code: { Value: side, Subcode: { Value: code } }, Reason: { Text: text }, statusCode: side === 'soap:Sender' ? 400 : 500 } })
const methods = twelve => ({
  Login: () => ({ LoginResult: 'none' }),
  UpsertContact: a => {
    const name = a.Contact.LastName
    if (name === 'DEADLOCK') throw twelve ? fault12('soap:Receiver', 'Deadlock', 'tns:DEADLOCK') : fault11('soap:Server', 'Deadlock', 'DEADLOCK', true)
    if (name === 'BAD') throw twelve ? fault12('soap:Sender', 'Bad name', 'tns:BAD_NAME') : fault11('soap:Client', 'Bad name', 'BAD_NAME', false)
    if (name === 'CRASH') throw new Error('boom')
    const isNew = !store.has(a.ExternalId), id = isNew ? 'C' + (store.size + 1) : store.get(a.ExternalId).Id
    store.set(a.ExternalId, { ...a.Contact, Id: id, ExternalId: a.ExternalId })
    return { Id: id, Created: isNew }
  },
  FindContacts: a => { const all = [...store.values()].filter(c => !a.Query || c.ExternalId === a.Query); return { Total: all.length, Contact: all.slice(+a.Offset, +a.Offset + +a.Limit) } },
})
const app = http.createServer((q, r) => {
  if (q.url === '/replay') { nonces.add('ALL'); return r.end('ok') }
  r.statusCode = 404; r.end('no such page: ' + q.url)
})
// A server whose clock is off. `soap.listen` takes the listeners away, so it is told before any of them.
const emit = app.emit
app.emit = function (event, q, r) {
  if (event === 'request' && skew) r.setHeader('Date', new Date(Date.now() + skew).toUTCString())
  return emit.apply(this, arguments)
}
app.listen(port, '127.0.0.1', () => {
  for (const [where, twelve] of [['/crm', false], ['/crm12', true]]) {
    const server = soap.listen(app, { path: where, services: { Stack: { CrmSoap11: methods(false), CrmSoap12: methods(true) } }, xml: wsdl, forceSoap12Headers: twelve })
    server.authenticate = security => {
      const token = security && security.UsernameToken
      if (!token) return false
      const given = token.Password, type = (given && given.attributes && given.attributes.Type) || '', value = (given && given.$value) ?? given
      const nonce = token.Nonce && (token.Nonce.$value ?? token.Nonce), created = token.Created
      if (token.Username !== USER || !nonce || nonces.has(nonce) || nonces.has('ALL')) return false
      if (Math.abs(Date.now() + skew - Date.parse(created)) > 300000) return false
      nonces.add(nonce)
      if (!/PasswordDigest$/.test(type)) return value === PASSWORD
      return value === crypto.createHash('sha1').update(Buffer.concat([Buffer.from(nonce, 'base64'), Buffer.from(created + PASSWORD)])).digest('base64')
    }
  }
})
