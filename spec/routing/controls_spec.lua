local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local script = [[
local sse = require "sse"
sse.publisher "/publish/:channel"
sse.controls("/controls", { allow = function(req, name) return name ~= "secret" end })
sse.get("/sub", function(req)
  return sse.subscribe { "a", controls = true, with_channel = true }
end)
sse.get("/count/:channel", function(req)
  return { subscribers = sse.channel(req.params.channel).subscribers }
end)
]]

describe("sse.controls", function()
  after_each(server.stop_all)

  local function open(router)
    local client = eventsource.open(router.port, "/sub")
    local first, event = client:next_json()
    assert.equal("stream", event.event)
    assert.matches("^%x+$", first.id)
    assert.equal(32, #first.id)
    return client, "/controls/" .. first.id
  end

  local function publish(router, channel, data)
    assert.equal(201, http.post(router.port, "/publish/" .. channel, data).status)
  end

  it("adds and removes channels of a running stream, without a gap", function()
    local router = server.start(script)
    local client, path = open(router)
    publish(router, "a", "1")
    publish(router, "b", "not yet")
    assert.same({ channels = { "a", "b", "c.*" } }, http.post(router.port, path, { add = { "b", "c.*" } }):json())
    publish(router, "b", "2")
    publish(router, "c.x", "3")
    publish(router, "a", "4")
    assert.same({ channels = { "b", "c.*" } }, http.post(router.port, path, { remove = { "a" } }):json())
    publish(router, "a", "no more")
    publish(router, "b", "5")
    for n = 1, 5 do
      assert.equal(tostring(n), client:next().data)
    end
  end)

  it("keeps the counts of subscribers exact", function()
    local router = server.start(script)
    local client, path = open(router)
    local function count(channel)
      return http.get(router.port, "/count/" .. channel):json().subscribers
    end
    http.post(router.port, path, { add = { "b" }, remove = { "a" } })
    loop.eventually(function() return count "a" == 0 and count "b" == 1 end, 10, "the counts to follow")
    client:close()
    loop.eventually(function() return count "b" == 0 end, 10, "the count to fall")
  end)

  it("refuses what is not allowed, unknown streams and bad bodies", function()
    local router = server.start(script)
    local client, path = open(router)
    assert.equal(400, http.post(router.port, path, { add = { "secret" } }).status)
    assert.equal(400, http.post(router.port, path, { add = "b" }).status)
    assert.equal(400, http.post(router.port, path, "nonsense").status)
    assert.equal(404, http.post(router.port, "/controls/0123", { add = { "b" } }).status)
    client:close()
    loop.eventually(function()
      return http.post(router.port, path, { add = { "b" } }).status == 404
    end, 10, "the stream to be forgotten")
  end)

  it("moves many streams back and forth under load, in order and without loss", function()
    local router = server.start(script)
    local clients = {}
    for index = 1, 10 do
      local client, path = open(router)
      clients[index] = { client = client, path = path }
    end
    for round = 1, 20 do
      publish(router, "a", tostring(round))
      for _, entry in ipairs(clients) do
        local change = round % 2 == 1 and { add = { "b" } } or { remove = { "b" } }
        assert.equal(200, http.post(router.port, entry.path, change).status)
      end
    end
    for _, entry in ipairs(clients) do
      for round = 1, 20 do
        assert.equal(tostring(round), entry.client:next().data)
      end
    end
  end)
end)
