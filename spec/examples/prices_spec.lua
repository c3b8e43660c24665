-- examples/prices.lua: the latest price of each symbol, from a program that runs while somebody listens.

local json = require "cjson"
local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local page = require "spec.support.page"
local server = require "spec.support.server"
local support = require "spec.sources.support"

describe("examples/prices.lua", function()
  local router

  before_each(function()
    router = server.start_file("examples/prices.lua", { env = { LC_ALL = "de_DE.UTF-8" } })
  end)

  after_each(server.stop_all)

  local function assert_price(event)
    assert.equal("price", event.event)
    local price = json.decode(event.data)
    assert.matches("^%u%u%u%u$", price.symbol)
    assert.is_true(price.price > 0)
    return price
  end

  it("sends prices as they change, and the latest of each symbol to who comes later", function()
    support.wait_children(router.pid, 0)
    local first = eventsource.open(router.port, "/events")
    local latest, symbols = {}, 0
    while symbols < 2 do
      local price = assert_price(first:next())
      symbols = symbols + (latest[price.symbol] and 0 or 1)
      latest[price.symbol] = price.price
    end
    support.wait_children(router.pid, 1)
    local second = eventsource.open(router.port, "/events")
    local seen = {}
    for _ = 1, 2 do
      seen[assert_price(second:next()).symbol] = true
    end
    for symbol in pairs(latest) do
      assert.is_true(seen[symbol], symbol)
    end
    support.wait_children(router.pid, 1)
  end)

  it("sends one symbol's alone when it is asked for, as its curl lines do", function()
    local watcher = curl.start { router.url .. "/events?symbol=ACME" }
    watcher:wait_line("stdout", '^data: {.*"symbol":"ACME"')
    local all = curl.start { router.url .. "/events" }
    all:wait_line("stdout", '^data: .*"symbol":"ACME"')
    local listener = eventsource.open(router.port, "/events?symbol=HOOP")
    assert.equal("HOOP", json.decode(listener:next().data).symbol)
    assert.is_nil(watcher:text("stdout"):find "HOOP")
  end)

  it("shows on the page what is on the wire", function()
    local shown = page.run("wire.mjs", { url = router.url .. "/", count = 3 })
    assert.equal("Live", shown.state)
    assert.matches('event: price\ndata: {', shown.frames[3])
  end)
end)
