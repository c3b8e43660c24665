-- Requests that the old script still answers when the new one runs already.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local server = require "spec.support.server"

local script = [[
  local sse = require "sse"
  local a = sse.channel "a"
  sse.channel "b"
  sse.filter("is_even", function(event) return event.data.n % 2 == 0 end)
  sse.pipe("a", "b", function(event) return event end)
  sse.record("a", "FOLDER/a.jsonl")
  sse.get("/b", function() return sse.subscribe { "b", start = "earliest" } end)
  sse.get("/even", function() return sse.subscribe { "a", filter = "is_even", start = "earliest" } end)
  sse.get("/late", function() sse.sleep "300ms" return sse.subscribe { "a", filter = { "is_even", 1 } } end)
  sse.post("/late", function(req) sse.sleep "300ms" a:publish { data = req:json() } return 204 end)
  sse.post("/now", function(req) a:publish { data = req:json() } return 204 end)
]]

describe("a request that outlives a reload", function()
  local router, folder

  before_each(function()
    folder = files.directory()
    router = server.start((script:gsub("FOLDER", folder)))
  end)

  after_each(server.stop_all)

  --- The new script has more in it than the old one: numbers of things in one say nothing in the other.
  local function reload()
    local more = 'for index = 1, 60 do sse.pipe("x" .. index, "y" .. index, print) end\n'
    router:rewrite((script:gsub("FOLDER", folder):gsub("\n", "\n" .. more, 1)))
    router:kill "sighup"
    router:wait_log "reloaded the script"
  end

  it("publishes through the new script's filters, pipes and recordings", function()
    local even = eventsource.open(router.port, "/even"):wait_open()
    local piped = eventsource.open(router.port, "/b"):wait_open()
    local poster = http.connect(router.port)
    poster:request("POST", "/late", nil, '{"n":2}')
    reload()
    assert.equal(204, poster:receive_response().status)
    assert.equal('{"n":2}', even:next().data)
    assert.equal('{"n":2}', piped:next().data)
    local recorded = files.read(folder .. "/a.jsonl")
    assert.equal(1, select(2, recorded:gsub('{"n":2}', "")))
    assert.is_nil(router:log():find("error", 1, true))
  end)

  it("gets a stream with the new script's filter", function()
    eventsource.open(router.port, "/even"):wait_open()
    eventsource.open(router.port, "/b"):wait_open()
    local late = eventsource.open(router.port, "/late")
    reload()
    late:wait_open()
    for n = 1, 4 do
      http.post(router.port, "/now", { n = n })
    end
    assert.equal('{"n":2}', late:next().data)
    assert.equal('{"n":4}', late:next().data)
    -- The function of another part of the script was not taken for the filter.
    local recorded = files.read(folder .. "/a.jsonl")
    assert.equal(4, select(2, recorded:gsub('"n"', "")))
  end)
end)
