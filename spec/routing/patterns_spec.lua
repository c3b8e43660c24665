local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local script = [[
local sse = require "sse"
sse.publisher "/publish/:channel"
sse.filter("without_secret", function(event)
  event.data.secret = nil
  return event
end)
sse.filter("odd", function(event) return event.data.n % 2 == 1 end)
sse.get("/sub", function(req)
  return sse.subscribe {
    channels = sse.split(req.query.channels),
    filter = req.query.filter,
    with_channel = req.query.form or false,
    history = tonumber(req.query.history),
  }
end)
sse.get("/stats", function() return sse.stats() end)
]]

describe("patterns of channels", function()
  after_each(server.stop_all)

  local function publish(router, channel, data)
    local response = http.post(router.port, "/publish/" .. channel, data)
    assert.equal(201, response.status, response.body)
  end

  it("hear channels that are there and channels that come later", function()
    local router = server.start(script)
    publish(router, "stock.a", { n = 1 })
    local client = eventsource.open(router.port, "/sub?channels=stock.*")
    client:wait_open()
    publish(router, "stock.a", { n = 2 })
    publish(router, "stock.b", { n = 3 })
    publish(router, "stock.b.c", { n = 4 })
    publish(router, "other", { n = 5 })
    publish(router, "stock.c", { n = 6 })
    local heard = {}
    for index = 1, 3 do
      heard[index] = client:next_json().n
    end
    assert.same({ 2, 3, 6 }, heard)
  end)

  it("match any number of segments with two stars", function()
    local router = server.start(script)
    local client = eventsource.open(router.port, "/sub?channels=site.**")
    client:wait_open()
    for n, channel in ipairs { "site.a", "site", "site.a.b.c", "sites.a", "site.b" } do
      publish(router, channel, { n = n })
    end
    assert.equal(1, client:next_json().n)
    assert.equal(3, client:next_json().n)
    assert.equal(5, client:next_json().n)
  end)

  it("resume over channels that came while the client was away", function()
    local router = server.start(script)
    local client = eventsource.open(router.port, "/sub?channels=stock.*")
    client:wait_open()
    publish(router, "stock.a", { n = 1 })
    local first = client:next()
    client:close()
    publish(router, "stock.new", { n = 2 })
    publish(router, "stock.a", { n = 3 })
    local again = eventsource.open(router.port, "/sub?channels=stock.*", { last_event_id = first.id })
    assert.equal(2, again:next_json().n)
    assert.equal(3, again:next_json().n)
  end)

  it("tell the channel as the event's name or in an envelope", function()
    local router = server.start(script)
    local named = eventsource.open(router.port, "/sub?channels=stock.*&form=event")
    local wrapped = eventsource.open(router.port, "/sub?channels=stock.*&form=envelope&filter=odd")
    named:wait_open()
    wrapped:wait_open()
    publish(router, "stock.a", { n = 1 })
    publish(router, "stock.b", { n = 2 })
    publish(router, "stock.b", { n = 3 })
    assert.equal("stock.a", named:next().event)
    assert.equal("stock.b", named:next().event)
    assert.same({ channel = "stock.a", event = "message", data = { n = 1 } }, wrapped:next_json())
    assert.same({ channel = "stock.b", event = "message", data = { n = 3 } }, wrapped:next_json())
    local replay = eventsource.open(router.port, "/sub?channels=stock.*&form=envelope&history=1")
    assert.same({ channel = "stock.b", event = "message", data = { n = 3 } }, replay:next_json())
  end)

  it("show a changed event to one group and the whole one to others, live and from the log", function()
    local router = server.start(script)
    local open = eventsource.open(router.port, "/sub?channels=a")
    local closed = eventsource.open(router.port, "/sub?channels=a&filter=without_secret")
    open:wait_open()
    closed:wait_open()
    publish(router, "a", { n = 1, secret = "s" })
    assert.same({ n = 1, secret = "s" }, open:next_json())
    local value, event = closed:next_json()
    assert.same({ n = 1 }, value)
    assert.is_truthy(event.id)
    local late = eventsource.open(router.port, "/sub?channels=a&filter=without_secret&history=5")
    local replayed, again = late:next_json()
    assert.same({ n = 1 }, replayed)
    assert.equal(event.id, again.id)
  end)

  it("let go of subscriptions and channels that nobody uses", function()
    local router = server.start(script)
    local before = http.get(router.port, "/stats"):json().channels
    local client = eventsource.open(router.port, "/sub?channels=stock.*,quiet")
    client:wait_open()
    assert.equal(before + 1, http.get(router.port, "/stats"):json().channels)
    client:close()
    loop.eventually(function()
      return http.get(router.port, "/stats"):json().channels == before
    end, 10, "the channel to go")
  end)

  it("cannot be published to", function()
    local router = server.start(script)
    local response = http.post(router.port, "/publish/stock.*", { n = 1 })
    assert.is_true(response.status >= 400)
  end)
end)
