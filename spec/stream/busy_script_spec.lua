-- A handler that publishes for a long time, in one go: its events reach readers meanwhile, and neither a reload nor
-- the router's end that come in the middle of it cost any.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

after_each(server.stop_all)

--- `heartbeat` is part of the route /changing: with another one its streams end at a reload.
local function script(heartbeat)
  return ([[
    local sse = require "sse"
    local news = sse.channel("news", { history = 1000000, max_bytes = "64M" })
    sse.filter("odd", function(event) return event.data.n %% 2 == 1 end)
    sse.get("/news", news)
    sse.get("/changing", function() return sse.subscribe { news, heartbeat = %d } end)
    sse.get("/odd", function() return sse.subscribe { news, filter = "odd" } end)
    local kept = sse.state("kept", { n = 0 })
    local function publish_for(seconds, reload)
      local from, reloaded = os.clock(), false
      while os.clock() - from < seconds do
        kept.n = kept.n + 1
        news:publish { id = kept.n, data = { n = kept.n } }
        if reload and not reloaded and os.clock() - from > seconds / 2 then
          reloaded = true
          sse.reload()
        end
        local pause = os.clock()
        while os.clock() - pause < 0.001 do end
      end
      return { last = kept.n }
    end
    sse.post("/long", function(req) return publish_for(tonumber(req.query.seconds), req.query.reload) end)
    sse.post("/forever", function() publish_for(1e9) end)
    -- The budget may end the script between a number and its event.
    sse.get("/last", function() return { last = sse.stats().published } end)
  ]]):format(heartbeat)
end

local function start(threads, args)
  return server.start(script(1), { threads = threads, args = args })
end

--- A reader that collects numbers.
local function open(router, path, options)
  local reader = { numbers = {} }
  options = options or {}
  options.reconnect = options.reconnect or false
  options.on_event = function(event)
    assert(event.event == "message", event.event)
    table.insert(reader.numbers, math.tointeger(event.id))
  end
  reader.source = eventsource.open(router.port, path, options):wait_open()
  return reader
end

local function wait_number(reader, number)
  loop.wait_until(function()
    local last = reader.numbers[#reader.numbers]
    return last and last >= number
  end, nil, function()
    return ("%d, after %s"):format(number, reader.numbers[#reader.numbers])
  end)
end

--- Every number up to `last` in order, or every second one.
local function expect_all(reader, last, step)
  wait_number(reader, step == 2 and last - (last + 1) % 2 or last)
  for index, number in ipairs(reader.numbers) do
    if number ~= (index - 1) * (step or 1) + 1 then
      error(("%d stands at place %d"):format(number, index))
    end
  end
  assert.equal((last + (step or 1) - 1) // (step or 1), #reader.numbers)
end

local function begin(router, path)
  local connection = http.connect(router.port)
  connection:request("POST", path)
  return connection
end

local function finish(connection)
  local response = connection:receive_response { seconds = 20 }
  assert.equal(200, response.status)
  connection:close()
  return response:json().last
end

local function reload(router, heartbeat)
  router:rewrite(script(heartbeat))
  router:kill "sighup"
end

for _, threads in ipairs { 0, 2 } do
  describe(("a handler that publishes for long, with %d threads,"):format(threads), function()
    it("is heard meanwhile", function()
      local router = start(threads)
      local reader, odd = open(router, "/news"), open(router, "/odd")
      local long = begin(router, "/long?seconds=0.6")
      wait_number(reader, 20)
      wait_number(odd, 19)
      assert.equal(0, long.received)
      local last = finish(long)
      expect_all(reader, last)
      expect_all(odd, last, 2)
    end)

    it("is heard to its end by those who listen when the router ends", function()
      local router = start(threads)
      local readers = { open(router, "/news"), open(router, "/changing"), open(router, "/odd") }
      local long = begin(router, "/long?seconds=0.4")
      wait_number(readers[1], 1)
      router:kill "sigterm"
      local last = finish(long)
      for index, reader in ipairs(readers) do
        expect_all(reader, last, index == 3 and 2 or 1)
        assert.equal("complete", reader.source:wait_ending())
        assert.equal(1, #reader.source.retries)
      end
      assert.same({ 0, 0 }, { router:wait_exit() })
    end)

    it("is heard to its end across a reload, by streams that stay and by those that come back", function()
      local router = start(threads)
      local stays, odd = open(router, "/news"), open(router, "/odd")
      local comes_back = open(router, "/changing", { reconnect = true, reconnect_after = 0.01 })
      local long = begin(router, "/long?seconds=0.4")
      wait_number(stays, 1)
      reload(router, 2)
      local last = finish(long)
      router:wait_log "reloaded"
      expect_all(stays, last)
      expect_all(odd, last, 2)
      expect_all(comes_back, last)
      comes_back.source:wait_open(nil, 2)
      last = finish(begin(router, "/long?seconds=0.05"))
      expect_all(stays, last)
      expect_all(odd, last, 2)
      expect_all(comes_back, last)
      assert.equal("open", stays.source:state())
    end)

    it("may ask for a reload in the middle", function()
      local router = start(threads)
      local reader = open(router, "/news")
      local last = finish(begin(router, "/long?seconds=0.2&reload=1"))
      router:wait_log "reloaded"
      last = math.max(last, finish(begin(router, "/long?seconds=0.01")))
      expect_all(reader, last)
    end)

    it("is heard as far as its time budget allows", function()
      local router = start(threads, { "--budget", "300ms" })
      local reader, odd = open(router, "/news"), open(router, "/odd")
      local long = begin(router, "/forever")
      assert.equal(500, long:receive_response().status)
      local last = http.get(router.port, "/last"):json().last
      expect_all(reader, last)
      expect_all(odd, last, 2)
      assert.is_true(last > 10)
    end)
  end)
end
