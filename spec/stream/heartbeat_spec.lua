-- Heartbeats, and what goes on while the script is busy.

local eventsource = require "spec.support.eventsource"
local feeds = require "spec.stream.feeds"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.http.support"

local function open(router, query, options)
  options = options or {}
  options.reconnect = false
  return eventsource.open(router.port, "/stream?" .. query, options):wait_open()
end

--- The empty comments behind the first one, which opens the stream.
local function heartbeats(reader)
  local count = -1
  for _, text in ipairs(reader.comments) do
    count = count + (text == "" and 1 or 0)
  end
  return count
end

local function wait_heartbeats(reader, count)
  loop.wait_until(function()
    return heartbeats(reader) >= count
  end, nil, count .. " heartbeats")
end

describe("heartbeats", function()
  after_each(server.stop_all)

  it("may be what finds that a client has gone", function()
    -- With one loop for all, heartbeats are due before the loop looks at sockets when the script has been busy.
    local router = feeds.start([[
      local open = 0
      sse.get("/own", function()
        return sse.stream(function(client)
          open = open + 1
          local _ <close> = sse.defer(function() open = open - 1 end)
          sse.sleep "1h"
        end, { heartbeat = "20ms" })
      end)
      sse.get("/open", function() return { open = open } end)
    ]], { threads = 0 })
    local clients = {}
    for index = 1, 10 do
      clients[index] = http.connect(router.port)
      clients[index]:request("GET", "/own")
      clients[index]:wait_bytes(1)
      clients[index + 10] = http.connect(router.port)
      clients[index + 10]:request("GET", "/stream?channels=a&heartbeat=20ms")
      clients[index + 10]:wait_bytes(1)
    end
    local busy = http.connect(router.port)
    busy:request("GET", "/busy?seconds=0.3")
    busy:flush()
    loop.holds(function() return busy.received == 0 end, 0.1, "the script is busy")
    for _, client in ipairs(clients) do
      client:reset()
    end
    assert.equal(204, busy:receive_response().status)
    feeds.wait_subscribers(router, "a", 0)
    support.eventually("their coroutines to end", function()
      return http.get(router.port, "/open"):json().open == 0
    end)
  end)

  it("come in the interval asked for, to every silent stream and to no other", function()
    local router = feeds.start([[
      sse.get("/own", function()
        return sse.stream(function(client) sse.sleep(60) end, { heartbeat = "100ms" })
      end)
    ]], { threads = 2 })
    local from = loop.now()
    local silent = { open(router, "channels=a&heartbeat=100ms"), open(router, "channels=a&heartbeat=100ms") }
    local other_names = open(router, "channels=b&events=never&heartbeat=100ms")
    local filtered = open(router, "channels=b&step=1000000&heartbeat=100ms")
    local own = eventsource.open(router.port, "/own", { reconnect = false }):wait_open()
    local slower = open(router, "channels=a&heartbeat=60s")
    local never = open(router, "channels=a&heartbeat=0")
    for round = 1, 5 do
      feeds.burst(router, "b", 3)
      for _, reader in ipairs { silent[1], silent[2], other_names, filtered, own } do
        wait_heartbeats(reader, round)
      end
    end
    local due = (loop.now() - from) / 0.1 + 2
    for _, reader in ipairs { silent[1], silent[2], other_names, filtered, own } do
      assert.is_true(heartbeats(reader) <= due, heartbeats(reader) .. " heartbeats")
    end
    assert.equal(0, heartbeats(slower))
    assert.equal(0, heartbeats(never))
    assert.equal("", silent[1].comments[3])
  end)

  it("stay away while events come, and come again after them", function()
    local router = feeds.start [[
      sse.every("10ms", function() if running then sse.publish("a", { data = { n = 1 } }) end end)
      sse.post("/run/:on", function(req) running = req.params.on == "yes" return 204 end)
    ]]
    http.post(router.port, "/run/yes")
    local last, longest = nil, 0
    local reader = open(router, "channels=a&heartbeat=400ms", {
      on_event = function()
        local now = loop.now()
        longest = math.max(longest, now - (last or now))
        last = now
      end,
    })
    local from = loop.now()
    loop.wait_until(function()
      return reader.received >= 20 and loop.now() - from > 1
    end, nil, "events for a second")
    -- A machine that stood still for so long must have had its heartbeat.
    assert.is_true(heartbeats(reader) == 0 or longest > 0.3, ("%g s of silence"):format(longest))
    http.post(router.port, "/run/no")
    wait_heartbeats(reader, 1)
  end)

  it("are bare where the stream has no chunks", function()
    local router = feeds.start()
    local connection = http.connect(router.port)
    connection:send "GET /stream?channels=a&heartbeat=50ms HTTP/1.0\r\nHost: localhost\r\n\r\n"
    loop.wait_until(function()
      return connection:unread():find "\r\n\r\n:\n\n: position\nid: %S+\n\n:\n\n:\n\n"
    end, nil, "bare comments")
  end)
end)

for _, threads in ipairs { 1, 0 } do
  describe(("while the script is busy, with %d I/O threads"):format(threads), function()
    local router, folder

    -- The handler thinks for at least half a second, and until the spec has seen what it wants to see.
    local thinking = [[
      local started = 0

      local function is_enough()
        local file = io.open(os.getenv "FOLDER" .. "/enough " .. started)
        return file and file:close()
      end

      local function think()
        started = started + 1
        sse.log.info("thinking " .. started)
        local from = os.clock()
        repeat
          for _ = 1, 100000 do end
        until os.clock() - from > .5 and is_enough()
      end

      sse.get("/think", function() think() return 204 end)
      sse.get("/say-and-think", function()
        sse.publish("a", { data = { n = 1 } })
        think()
        sse.publish("a", { data = { n = 2 } })
        return 204
      end)
    ]]

    before_each(function()
      folder = files.directory()
      router = feeds.start(thinking, { threads = threads, env = { FOLDER = folder } })
    end)

    after_each(server.stop_all)

    --- Starts a busy handler and gives its connection once it is at it.
    local function make_busy(path)
      local busy = http.connect(router.port)
      busy:request("GET", path or "/think")
      router:wait_log "thinking 1"
      return busy
    end

    --- Lets the busy handler end, which has not answered so far.
    local function finish(busy, number)
      assert.equal(0, busy.received)
      files.write(("%s/enough %d"):format(folder, number or 1), "")
      assert.equal(204, busy:receive_response().status)
    end

    it("streams have their heartbeats", function()
      local reader = open(router, "channels=a&heartbeat=50ms")
      local busy = make_busy()
      wait_heartbeats(reader, heartbeats(reader) + 4)
      finish(busy)
    end)

    it("slow readers get what is pending for them", function()
      local reader = open(router, "channels=a", { receive_buffer = 8192 })
      reader:pause()
      feeds.burst(router, "a", 100, 1, 20000)
      local busy = make_busy()
      reader:resume()
      reader:take(100)
      finish(busy)
    end)

    it("events published before reach their readers", function()
      local reader = open(router, "channels=a")
      local publisher, second = http.connect(router.port), http.connect(router.port)
      local first = make_busy()
      -- Both wait for the script now, in this order.
      publisher:request("POST", "/publish", {}, { { channel = "a", data = { n = 1 } } })
      second:request("GET", "/think")
      finish(first)
      assert.equal(1, feeds.numbers({ reader:next() })[1])
      finish(second, 2)
    end)

    it("events that it has published itself reach their readers", function()
      local reader = open(router, "channels=a")
      local busy = make_busy "/say-and-think"
      assert.same({ 1 }, feeds.numbers { reader:next() })
      assert.equal(0, reader:pending())
      finish(busy)
      assert.same({ 2 }, feeds.numbers { reader:next() })
    end)
  end)
end
