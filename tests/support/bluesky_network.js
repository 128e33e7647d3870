// A whole network of Bluesky's own parts on loopback: directory of accounts, personal data server, AppView. Its parts are the packages that Bluesky
// publishes (`@atproto/dev-env`), nothing of it is ours. Arguments: the folder with `node_modules`, a port of PostgreSQL, one of Redis.
//
// Prints `{"server": ...}`, then answers each line of JSON on stdin with a line: `["account", name]`, `["profile", name, shown, about]`,
// `["mention" | "reply" | "quote" | "like" | "post", name, text]`, `["delete", name]`, `["block", name]`, `["caught-up"]`.
const [folder, postgres, redis] = process.argv.slice(2)
process.env.DB_POSTGRES_URL = `postgresql://postgres@127.0.0.1:${postgres}/postgres`
process.env.REDIS_HOST = `127.0.0.1:${redis}`
const net = require('net')
const { createRequire } = require('module')

// Servers that name no host listen on loopback, not everywhere.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...given) {
  if (given[0] !== null && typeof given[0] === 'object' && !given[0].host && given[0].port !== undefined) given[0] = { ...given[0], host: '127.0.0.1' }
  else if (/^\d+$/.test(String(given[0])) && typeof given[1] !== 'string') given.splice(1, 0, '127.0.0.1')
  return listen.apply(this, given)
}

// Answers alone go to stdout.
console.log = console.error
const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

async function main() {
  const { TestNetwork } = createRequire(folder + '/')('@atproto/dev-env')
  const network = await TestNetwork.create({ pds: { hostname: 'localhost' }, bsky: { dbPostgresSchema: 'bsky' }, ozone: { dbPostgresSchema: 'ozone' } })
  const server = network.pds.url
  const accounts = {}

  async function call(method, body, token) {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    const answer = await fetch(`${server}/xrpc/${method}`, { method: 'POST', headers, body: JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : {}
  }
  const record = (who, collection, value) =>
    call('com.atproto.repo.createRecord', { repo: who.did, collection, record: { $type: collection, createdAt: new Date().toISOString(), ...value } }, who.token)

  const shop = () => accounts.roastery
  const link = (to) => ({ uri: to.uri, cid: to.cid })
  const post = (who, value) => record(who, 'app.bsky.feed.post', value)
  const commands = {
    async account(name) {
      const made = await call('com.atproto.server.createAccount', { handle: `${name}.test`, email: `${name}@mail.test`, password: `pass-${name}` })
      accounts[name] = { did: made.did, handle: made.handle, token: made.accessJwt }
      const app = await call('com.atproto.server.createAppPassword', { name: 'kith' }, made.accessJwt)
      return { did: made.did, handle: made.handle, app_password: app.password }
    },
    profile: (name, displayName, description) => record(accounts[name], 'app.bsky.actor.profile', { displayName, description }).catch(() => ({})),
    async post(name, text) {
      const made = await post(accounts[name], { text })
      accounts[name].last = made
      return made
    },
    mention(name, text) {
      const at = `@${shop().handle}`
      const facets = [{ index: { byteStart: 0, byteEnd: at.length }, features: [{ $type: 'app.bsky.richtext.facet#mention', did: shop().did }] }]
      return post(accounts[name], { text: `${at} ${text}`, facets })
    },
    reply: (name, text) => post(accounts[name], { text, reply: { root: link(shop().last), parent: link(shop().last) } }),
    quote: (name, text) => post(accounts[name], { text, embed: { $type: 'app.bsky.embed.record', record: link(shop().last) } }),
    // The account's newest post but for mentions, answers and quotations.
    delete: (name) => call('com.atproto.repo.deleteRecord', { repo: accounts[name].did, collection: 'app.bsky.feed.post', rkey: accounts[name].last.uri.split('/').pop() }, accounts[name].token),
    like: (name) => record(accounts[name], 'app.bsky.feed.like', { subject: link(shop().last) }),
    block: (name) => record(accounts[name], 'app.bsky.graph.block', { subject: shop().did }),
    'caught-up': async () => { await network.processAll(); return {} },
  }

  say({ server })
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const [command, ...given] = JSON.parse(line)
    say(await commands[command](...given))
  }
  await network.close()
}
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
