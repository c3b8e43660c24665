-- sse.webhook: other services' events, signed.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

local script = [[
  local sse = require "sse"
  local hooks = sse.channel "hooks"
  sse.get("/hooks", hooks)
  sse.webhook("/plain", { secret = { "old", "key" }, channel = "hooks", event = "plain" })
  sse.webhook("/named", { secret = "key", channel = hooks, header = "X-Mine" })
  sse.webhook("/github", { secret = "It's a Secret to Everybody", scheme = "github", channel = hooks })
  sse.webhook("/stripe", { secret = "whsec", scheme = "stripe", channel = hooks })
  sse.webhook("/made", { secret = "key", channel = hooks, event = function(data, req)
    if data.skip then return nil end
    if data.name then return data.name end
    return { event = "made", data = { twice = data.n * 2, path = req.path } }
  end })
  sse.post("/hmac", function(req) return sse.hmac(req.query.algorithm, req.query.key, req.body) end)
]]

describe("sse.webhook", function()
  local router, client

  local function hmac(key, text, algorithm)
    local query = ("?algorithm=%s&key=%s"):format(algorithm or "sha256", (key:gsub("[^%w]", function(letter)
      return ("%%%02X"):format(letter:byte())
    end)))
    return http.post(router.port, "/hmac" .. query, text).body
  end

  local function post(path, body, headers)
    return http.post(router.port, path, body, headers)
  end

  before_each(function()
    router = server.start(script)
    client = eventsource.open(router.port, "/hooks")
    client:wait_open()
  end)

  after_each(server.stop_all)

  it("has an HMAC as the RFCs have it", function()
    -- RFC 4231, test case 2, and RFC 2202 for SHA-1.
    local text = "what do ya want for nothing?"
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", hmac("Jefe", text))
    assert.equal("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", hmac("Jefe", text, "sha1"))
    assert.matches("^164b7a7bfcf819e2e395fbe73b56e0a3", hmac("Jefe", text, "sha512"))
    assert.equal("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", hmac("", ""))
  end)

  it("publishes what is signed, under any of the secrets", function()
    for _, key in ipairs { "key", "old" } do
      local answer = post("/plain", '{"n":1}', { ["X-Signature"] = hmac(key, '{"n":1}') })
      assert.equal(200, answer.status)
      local event = client:next()
      assert.same({ "plain", '{"n":1}', answer:json().id }, { event.event, event.data, event.id })
    end
    assert.equal(200, post("/named", "text", { ["X-Mine"] = "sha256=" .. hmac("key", "text"):upper() }).status)
    assert.equal("text", client:next().data)
  end)

  it("refuses what is not", function()
    local good = hmac("key", "text")
    assert.equal(401, post("/plain", "text").status)
    assert.equal(401, post("/plain", "text", { ["X-Signature"] = "" }).status)
    assert.equal(401, post("/named", "text", { ["X-Signature"] = good }).status)
    for _, signature in ipairs { "x", good:sub(1, -2), good .. "0", hmac("key", "text "), hmac("", "text") } do
      assert.equal(403, post("/plain", "text", { ["X-Signature"] = signature }).status)
    end
    assert.equal(403, post("/plain", "text ", { ["X-Signature"] = good }).status)
    assert.equal(405, http.get(router.port, "/plain").status)
    assert.equal(0, client:pending())
  end)

  it("knows GitHub's signatures, names and deliveries", function()
    -- The example of GitHub's documentation.
    local headers = {
      ["X-Hub-Signature-256"] = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
      ["X-GitHub-Event"] = "push",
      ["X-GitHub-Delivery"] = "72d3162e",
    }
    local answer = post("/github", "Hello, World!", headers)
    assert.equal(200, answer.status)
    local event = client:next()
    assert.same({ "push", "Hello, World!" }, { event.event, event.data })
    -- A repeated delivery is the same event.
    assert.equal(answer:json().id, post("/github", "Hello, World!", headers):json().id)
    local form = "payload=%7B%22a%22%3A1%7D"
    headers["X-GitHub-Delivery"] = "another"
    headers["X-Hub-Signature-256"] = "sha256=" .. hmac("It's a Secret to Everybody", form)
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    assert.equal(200, post("/github", form, headers).status)
    assert.equal('{"a":1}', client:next().data)
  end)

  it("knows Stripe's signatures, and refuses old ones", function()
    local body = '{"id":"evt_1","type":"charge.succeeded"}'
    local function signed(time, extra)
      local signature = hmac("whsec", time .. "." .. body)
      local header = ("t=%d,%sv1=%s,v0=x"):format(time, extra or "", signature)
      return post("/stripe", body, { ["Stripe-Signature"] = header })
    end
    local now = os.time()
    local answer = signed(now)
    assert.equal(200, answer.status)
    assert.equal("charge.succeeded", client:next().event)
    assert.equal(answer:json().id, signed(now - 60, "v1=0000,"):json().id)
    assert.equal(403, signed(now - 400).status)
    assert.equal(403, signed(now + 400).status)
    local bare = post("/stripe", body, { ["Stripe-Signature"] = "v1=" .. hmac("whsec", body) })
    assert.equal(403, bare.status)
    assert.equal(0, client:pending())
  end)

  it("lets a function make the event", function()
    local function send(body)
      return post("/made", body, { ["X-Signature"] = hmac("key", body) }).status
    end
    assert.equal(200, send '{"n":4}')
    local data, event = client:next_json()
    assert.same({ twice = 8, path = "/made" }, data)
    assert.equal("made", event.event)
    assert.equal(204, send '{"skip":true}')
    assert.equal(200, send '{"name":"given"}')
    assert.equal("given", client:next().event)
  end)

  it("says what is wrong with signed bodies", function()
    local answer = post("/plain", "\xff", { ["X-Signature"] = hmac("key", "\xff") })
    assert.same({ 400, "the event's name, id and data must be valid UTF-8" }, { answer.status, answer:json().error })
  end)

  it("raises mistakes at the script's line, and shows no secret", function()
    local function raised(code)
      local result = server.run { "--check", "-e", 'local sse = require "sse"\n' .. code }
      assert.equal(1, result.status)
      assert.is_nil(result.stderr:find("hush", 1, true))
      return result.stderr:match "%(command line%):2: ([^\n]*)"
    end
    assert.matches("probably not set", raised 'sse.webhook("/a", { channel = "x", secret = nil })')
    assert.matches("probably not set", raised 'sse.webhook("/a", { channel = "x", secret = { "hush", "" } })')
    assert.matches("'channel' is missing", raised 'sse.webhook("/a", { secret = "hush" })')
    assert.matches("must be one of", raised 'sse.webhook("/a", { channel = "x", secret = "hush", scheme = "gitlab" })')
    assert.matches("must be one of", raised 'sse.hmac("md5", "hush", "")')
  end)
end)
