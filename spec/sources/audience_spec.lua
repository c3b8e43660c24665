-- A channel's number of subscribers, however they came to it.

local eventsource = require "spec.support.eventsource"
local server = require "spec.support.server"
local support = require "spec.sources.support"

local script = [[
local sse = require "sse"
sse.get("/by-pattern", function() return sse.subscribe { "news.*" } end)
sse.get("/by-name", function() return sse.subscribe { "news.one" } end)
sse.get("/publish", function() return { count = select(2, sse.publish("news.one", "x")) } end)
sse.get("/count", function() return { count = sse.channel("news.one").subscribers } end)
]]

describe("the subscribers of a channel", function()
  after_each(server.stop_all)

  local function expect_count(router, path, count)
    support.poll(router, path, function(answer)
      return answer.count == count
    end)
  end

  it("are counted also when they wait for it by a pattern", function()
    local router = server.start(script)
    local one = eventsource.open(router.port, "/by-pattern", { reconnect = false }):wait_open()
    local two = eventsource.open(router.port, "/by-pattern", { reconnect = false }):wait_open()
    expect_count(router, "/publish", 2)
    local three = eventsource.open(router.port, "/by-name", { reconnect = false }):wait_open()
    expect_count(router, "/count", 3)
    one:close()
    expect_count(router, "/count", 2)
    three:close()
    expect_count(router, "/count", 1)
    two:close()
    expect_count(router, "/count", 0)
  end)
end)
