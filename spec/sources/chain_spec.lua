-- Two routers in a chain: nothing is lost or doubled when either is killed.

local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local proxy = require "spec.support.proxy"
local server = require "spec.support.server"

local first_script = [[
  local sse = require "sse"
  sse.store "sqlite:FOLDER/first.db"
  local news = sse.channel("news", { history = 100000 })
  sse.get("/news", news)
  sse.publisher("/news", { channel = news })
]]

local second_script = [[
  local sse = require "sse"
  sse.store "sqlite:FOLDER/second.db"
  local news = sse.channel("news", { history = 100000 })
  sse.upstream("URL/news", { retry = "20ms", last_event_id = "earliest" }, news)
  sse.get("/news", news)
]]

describe("two routers in a chain", function()
  local folder, first, second, wire, published, client

  local function start_first()
    first = server.start((first_script:gsub("FOLDER", folder)))
    if wire then
      wire:retarget(first.port)
    else
      wire = proxy.start(first.port, { portion = 512 })
    end
  end

  local function start_second()
    local text = second_script:gsub("FOLDER", folder):gsub("URL", "http://127.0.0.1:" .. wire.port)
    second = server.start(text)
  end

  local function kill(router)
    router:kill()
    router:wait_exit()
  end

  --- Publishes a batch with one request; its events are the numbers that follow.
  local function publish(count)
    local lines = {}
    for index = 1, count do
      lines[index] = tostring(published + index)
    end
    published = published + count
    local body, headers = table.concat(lines, "\n"), { ["Content-Type"] = "application/x-ndjson" }
    local answer = http.post(first.port, "/news", body, headers)
    assert.equal(201, answer.status)
  end

  --- What a new reader finds in the second router, when it has everything.
  local function assert_whole()
    client = eventsource.open(second.port, "/news", { last_event_id = "earliest" })
    for number = 1, published do
      local event = client:next(20)
      assert.equal(tostring(number), event.data)
    end
    loop.holds(function()
      return client:pending() == 0
    end, 0.1, "no event comes twice")
    client:close()
  end

  before_each(function()
    folder, published, wire = files.directory(), 0, nil
    start_first()
    start_second()
  end)

  after_each(server.stop_all)

  it("passes everything on, with the first one's ids", function()
    publish(500)
    assert_whole()
    local origin = eventsource.open(first.port, "/news", { last_event_id = "earliest" }):take(500)
    local copy = eventsource.open(second.port, "/news", { last_event_id = "earliest" }):take(500)
    assert.same(origin, copy)
  end)

  it("loses nothing when the first is killed", function()
    for _ = 1, 3 do
      publish(50)
      kill(first)
      start_first()
      publish(50)
    end
    assert_whole()
  end)

  it("loses nothing when the second is killed in mid-stream", function()
    for round = 1, 3 do
      publish(300)
      -- Somewhere in the batch, another place each time.
      loop.wait_until(function()
        return wire.bytes.down > round * 7000
      end, nil, "some bytes")
      kill(second)
      publish(50)
      start_second()
    end
    publish(10)
    assert_whole()
  end)

  it("loses nothing when the second reloads in mid-stream", function()
    for round = 1, 5 do
      publish(200)
      loop.wait_until(function()
        return wire.bytes.down > round * 3000
      end, nil, "some bytes")
      second:kill "sighup"
    end
    assert_whole()
  end)

  it("loses nothing on a wire that breaks", function()
    wire.faults = function(number)
      return { cut_down = number < 12 and 3000 + 977 * number or nil, portion = 61, reset = number % 2 == 0 }
    end
    wire:cut()
    for _ = 1, 6 do
      publish(200)
    end
    assert_whole()
  end)
end)
