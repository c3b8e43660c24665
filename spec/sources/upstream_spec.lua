-- sse.upstream: another server's event stream as a source.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local toy_server = require "spec.support.toy_server"

--- A script that shows what its upstream hears: each event as JSON on /seen, the handle on /handle.
local function listener(url, options)
  return ([[
    local sse = require "sse"
    local seen = sse.channel("seen", { history = 10000 })
    local up = sse.upstream(%q, %s, function(event) seen:publish { data = event } end)
    sse.get("/seen", function() return sse.subscribe { seen, history = 10000 } end)
    sse.get("/handle", function()
      return { state = up.state, last_event_id = up.last_event_id, reason = up.reason, url = up.url }
    end)
    sse.post("/stop", function() up:stop() return 204 end)
  ]]):format(url, options or '{ retry = "10ms" }')
end

describe("the reader of event streams", function()
  after_each(server.stop_all)

  it("gives the same events however the bytes are cut", function()
    local result = server.run { "--check", "-e", [=[
      local reader, json = require "sse.event_reader", require "sse.json"
      local stream = "\u{FEFF}: comment\nid: 1\nevent: a\ndata: one\ndata:two\ndata\n\nid: 2\r\ndata: cr\rdata:  x\r\r"
        .. "event: none\n\ndata\n\nid: a\0b\ndata: keeps 2\n\nid\ndata: \u{20AC}\n\nretry: 1500\nretry: 1x\n"
        .. "data: bad \xff\xe2\x82 end\nother: x\ndata : no\n\n\n\r\n\r\ndata: never"
      local function read(...)
        local one = reader.new("0", 1000)
        local events = json.array {}
        for _, part in ipairs { ... } do
          for _, event in ipairs(one:feed(part)) do events[#events + 1] = event end
        end
        return json.encode { events, one.last_event_id, one.retry, one.skipped }
      end
      local whole = read(stream)
      print(whole)
      local bytes = {}
      for at = 1, #stream do
        bytes[at] = stream:sub(at, at)
        local parts = read(stream:sub(1, at - 1), stream:sub(at))
        assert(parts == whole, at .. ": " .. parts)
      end
      assert(read(table.unpack(bytes)) == whole)

      local small = reader.new("", 10)
      local got = small:feed("data: 12345\n\nid: 7\ndata: " .. ("x"):rep(20) .. "\n\ndata: ok\n\n")
      assert(#got == 2 and got[2].data == "ok" and got[2].id == "7" and small.skipped == 1)
      small = reader.new("", 10)
      for _ = 1, 100 do assert(#small:feed "data: x" == 0 and #small:feed(("x"):rep(5)) == 0) end
      assert(small.rest_size < 20 and small.skipped == 0)
      assert(#small:feed "\n\ndata: ok\n\n" == 1 and small.skipped == 1)
    ]=] }
    assert.equal(0, result.status, result.stderr)
    local read = json.decode(result.stdout:match "[^\n]*")
    assert.same({
      {
        { event = "a", data = "one\ntwo\n", id = "1", bears_id = true },
        { data = "cr\n x", id = "2", bears_id = true },
        { data = "", id = "2" },
        { data = "keeps 2", id = "2" },
        { data = "\u{20AC}", id = "", bears_id = true },
        { data = "bad \u{FFFD}\u{FFFD} end", id = "" },
      },
      "", 1.5, 0,
    }, read)
  end)
end)

describe("sse.upstream", function()
  local toy, heads, router

  --- A server that hands each request to the next of the functions, and to the last one again and again.
  local function serve(...)
    local responders, count = { ... }, 0
    local seen = {}
    heads = seen
    toy = toy_server.start(function(connection, head)
      count = count + 1
      seen[count] = head
      responders[math.min(count, #responders)](connection, head)
    end)
    return "http://127.0.0.1:" .. toy.port .. "/feed"
  end

  local function stream(text, ends)
    return function(connection)
      connection:open_stream()
      if text then
        connection:chunk(text)
      end
      if ends then
        connection:write "0\r\n\r\n"
        connection:finish()
      end
    end
  end

  local function answer(status, headers)
    return function(connection)
      connection:respond(status, "", headers)
    end
  end

  local function handle()
    return http.get(router.port, "/handle"):json()
  end

  local function wait_state(wanted)
    loop.eventually(function()
      return handle().state == wanted
    end, nil, "the state " .. wanted)
    return handle()
  end

  local function wait_requests(count)
    loop.wait_until(function()
      return #heads >= count
    end, nil, count .. " requests")
  end

  after_each(server.stop_all)

  it("hears events and comes back with the last id", function()
    local url = serve(stream("retry: 20\nid: a1\nevent: x\ndata: one\n\ndata: two\n\nid: lost\ndata: cut off", true),
      stream "id: a2\ndata: three\n\n")
    router = server.start(listener(url .. "?token=secret", '{ headers = { ["X-Key"] = "k" } }'))
    local seen = eventsource.open(router.port, "/seen")
    assert.same({ event = "x", data = "one", id = "a1" }, (seen:next_json()))
    assert.same({ data = "two", id = "a1" }, (seen:next_json()))
    assert.same({ data = "three", id = "a2" }, (seen:next_json()))
    assert.matches("^GET /feed%?token=secret HTTP/1.1\r\n", heads[1])
    assert.matches("\r\nAccept: text/event%-stream\r\n", heads[1])
    assert.matches("\r\nX%-Key: k\r\n", heads[1])
    assert.is_nil(heads[1]:find "Last%-Event%-ID")
    assert.matches("\r\nLast%-Event%-ID: a1\r\n", heads[2])
    assert.same({ state = "open", last_event_id = "a2", url = url }, handle())
    router:stop()
    assert.is_nil(router:log():find("secret", 1, true))
  end)

  it("begins where it is told to", function()
    local url = serve(stream())
    router = server.start(listener(url, '{ last_event_id = "earliest" }'))
    wait_requests(1)
    assert.matches("\r\nLast%-Event%-ID: earliest\r\n", heads[1])
  end)

  it("tries again after server errors and broken connections", function()
    local url = serve(answer "500 Oh", answer "503 Later", function(connection)
      connection:reset()
    end, function(connection)
      connection:write "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 50\r\n\r\n"
      connection:write "id: 5\ndata: 1\n\n"
      connection:finish()
    end, stream "data: two\n\n")
    router = server.start(listener(url))
    local seen = eventsource.open(router.port, "/seen")
    assert.equal("1", seen:next_json().data)
    assert.equal("two", seen:next_json().data)
    assert.matches("\r\nLast%-Event%-ID: 5\r\n", heads[5])
    router:wait_log "sse%.upstream .*: status 500; comes back in 0%.0 s"
    router:wait_log "%(ECONNRESET%); comes back"
  end)

  it("says so when it has failed ten times in a row, and tries seldom from then on", function()
    router = server.start(listener(serve(answer "500 Oh"), '{ retry = "1ms" }'))
    router:wait_log "failed 10 times in a row; tries once in a minute from now on"
    router:wait_log "status 500; comes back in [6-9]%d%.%d s"
    assert.equal(10, #heads)
  end)

  it("does not come back at once with all others: each waits up to half as long again", function()
    local url = serve(stream("retry: 60000\n\n", true))
    local text = 'local sse = require "sse"\n' .. ('sse.upstream(%q, print)\n'):format(url):rep(12)
    router = server.start(text)
    local delays, shown = {}, 0
    loop.wait_until(function()
      delays, shown = {}, 0
      for delay in router:log():gmatch "comes back in ([%d.]+) s" do
        shown = shown + 1
        delays[delay] = tonumber(delay)
      end
      return shown == 12
    end, nil, "all to be told")
    local different = 0
    for _, delay in pairs(delays) do
      different = different + 1
      assert.is_true(delay >= 60 and delay <= 90, tostring(delay))
    end
    assert.is_true(different > 3)
  end)

  it("is open as soon as the head is there, and follows redirects", function()
    local url = serve(answer("307 There", "Location: /other\r\n"), stream())
    router = server.start(listener(url))
    wait_state "open"
    assert.matches("^GET /other ", heads[2])
  end)

  for _, case in ipairs {
    { "204 No Content", nil, "status 204" },
    { "404 Not Found", nil, "status 404" },
    { "401 Who", nil, "status 401" },
    { "200 OK", "Content-Type: text/html\r\n", "content type text/html" },
    { "200 OK", nil, "content type none" },
  } do
    it("gives up at " .. case[3], function()
      router = server.start(listener(serve(answer(case[1], case[2]))))
      assert.equal(case[3], wait_state("closed").reason)
      if case[3] ~= "status 204" then
        router:wait_log("gives up: " .. case[3])
      end
      assert.equal(1, #heads)
    end)
  end

  it("stops when it is told to, while it listens and while it waits", function()
    local url = serve(stream "data: 1\n\n")
    router = server.start(listener(url))
    wait_state "open"
    http.post(router.port, "/stop", "")
    assert.equal("stopped", handle().reason)
    loop.wait_until(function()
      return toy.ended == 1
    end, nil, "the connection's end")
    router:stop()
    toy:close()
    router = server.start(listener(url, '{ retry = "1h" }'))
    router:wait_log "comes back"
    http.post(router.port, "/stop", "")
    assert.equal("closed", handle().state)
  end)

  it("logs what its function raises, and goes on", function()
    local url = serve(stream "data: 1\n\ndata: 2\n\ndata: 3\n\n")
    router = server.start(([[
      local sse = require "sse"
      sse.upstream(%q, function(event)
        if event.data == "2" then error "bad two" end
        sse.log.info("got", event.data)
      end)
      sse.get("/stats", function() return sse.stats() end)
    ]]):format(url))
    router:wait_log "got 3"
    router:wait_log "sse%.upstream http.*script%.lua:3: bad two"
    assert.matches("stack traceback", router:log())
    assert.equal(1, http.get(router.port, "/stats"):json().script_errors)
  end)

  it("waits for a function that waits: a fast server is held back", function()
    local url = serve(function(connection)
      connection:open_stream()
      for _ = 1, 100 do
        connection:chunk(("data: " .. ("x"):rep(990) .. "\n\n"):rep(100))
      end
    end)
    router = server.start(([[
      local sse = require "sse"
      local count = 0
      sse.upstream(%q, function()
        count = count + 1
        if count == 1 then sse.log.info "first" while not sse.state("go").on do sse.sleep "5ms" end end
        if count == 10000 then sse.log.info "all" end
      end)
      sse.get("/memory", function() return { bytes = sse.stats().script_memory } end)
      sse.post("/go", function() sse.state("go").on = true return 204 end)
    ]]):format(url))
    router:wait_log "first"
    assert.is_true(http.get(router.port, "/memory"):json().bytes < 5000000)
    http.post(router.port, "/go", "")
    router:wait_log "all"
  end)

  it("outlives a function that takes too long", function()
    local url = serve(stream "data: 1\n\n", stream "data: 2\n\n")
    router = server.start(([[
      local sse = require "sse"
      sse.upstream(%q, { retry = "10ms" }, function(event)
        if event.data == "1" then while true do end end
        sse.log.info("got", event.data)
      end)
    ]]):format(url), { args = { "--budget", "100ms" } })
    router:wait_log "got 2"
  end)

  it("comes back when the server does not answer, and when it falls silent", function()
    local url = serve(function() end, stream "data: 1\n\n", stream "data: 2\n\n")
    router = server.start(listener(url, '{ retry = "10ms", timeout = "50ms", idle = "100ms" }'))
    local seen = eventsource.open(router.port, "/seen")
    assert.equal("1", seen:next_json().data)
    router:wait_log "no answer in 0%.05 s"
    assert.equal("2", seen:next_json().data)
    router:wait_log "silent for more than 0%.1 s; comes back"
  end)

  it("lets others have their turn while much arrives", function()
    local url = serve(stream(("data: x\n\n"):rep(1500)))
    router = server.start(([[
      local sse = require "sse"
      local count = 0
      sse.upstream(%q, function()
        local till = sse.now() + 0.001
        while sse.now() < till do end
        count = count + 1
        if count == 1500 then sse.log.info "all" end
      end)
      sse.get("/count", function() return { count = count } end)
    ]]):format(url))
    loop.eventually(function()
      return http.get(router.port, "/count"):json().count > 0
    end, nil, "the first event")
    assert.is_true(http.get(router.port, "/count"):json().count < 1500)
    router:wait_log "all"
    assert.is_nil(router:log():find("error", 1, true))
  end)

  it("raises mistakes at the script's line", function()
    local function raised(code)
      local result = server.run { "--check", "-e", 'local sse = require "sse"\n' .. code }
      assert.equal(1, result.status)
      return result.stderr:match "%(command line%):2: ([^\n]*)"
    end
    assert.matches("must begin with http", raised 'sse.upstream("ftp://x", print)')
    assert.matches("last argument must be a function", raised 'sse.upstream("http://x", {})')
    assert.matches("last argument must be a function", raised 'sse.upstream("http://x", {}, 5)')
    assert.matches("did you mean 'retry'", raised 'sse.upstream("http://x", { retyr = 1 }, print)')
  end)

  it("puts events into a channel with their names and ids, and continues after the newest", function()
    local folder = files.directory()
    local text = "id: 7\nevent: x\ndata: one\ndata: more\n\nid: 8\ndata: two\n\ndata: without\n\n"
    local url = serve(stream(text), stream())
    local script = ([[
      local sse = require "sse"
      sse.store "sqlite:%s/feeds.db"
      local news = sse.channel "news"
      sse.upstream(%q, news)
      sse.get("/news", news)
    ]]):format(folder, url)
    router = server.start(script)
    local client = eventsource.open(router.port, "/news", { last_event_id = "earliest" })
    local events = client:take(3)
    assert.same({ "x", "one\nmore", "7" }, { events[1].event, events[1].data, events[1].id })
    assert.same({ "message", "two", "8" }, { events[2].event, events[2].data, events[2].id })
    assert.equal("without", events[3].data)
    router:kill()
    router:wait_exit()
    router = server.start(script)
    wait_requests(2)
    assert.matches("\r\nLast%-Event%-ID: 8\r\n", heads[2])
    -- Its ids are good for resuming here, too.
    local back = eventsource.open(router.port, "/news", { last_event_id = "7" })
    assert.equal("8", back:next().id)
  end)

  it("gives ids of its own to events whose ids no client could come back with", function()
    router = server.start(([[
      local sse = require "sse"
      local news = sse.channel "news"
      sse.upstream(%q, news)
      sse.get("/news", news)
    ]]):format(serve(stream "id:  spaced\ndata: 1\n\nid: latest\ndata: 2\n\nid: fine\ndata: 3\n\n")))
    local events = eventsource.open(router.port, "/news", { last_event_id = "earliest" }):take(3)
    for index, id in ipairs { "^%w+%-1$", "^%w+%-2$", "^fine$" } do
      assert.equal(tostring(index), events[index].data)
      assert.matches(id, events[index].id)
    end
  end)

  it("keeps apart what several upstreams have put into one channel, and their place when they change", function()
    local first = serve(stream "id: 1\ndata: a\n\n", stream())
    local first_heads = heads
    local second = serve(stream "id: 9\ndata: b\n\n", stream())
    local function script(idle)
      return ([[
        local sse = require "sse"
        local all = sse.channel "all"
        sse.upstream(%q, { idle = "%s" }, all)
        sse.upstream(%q, { idle = "%s" }, all)
        sse.get("/all", all)
      ]]):format(first, idle, second, idle)
    end
    router = server.start(script "1h")
    assert.equal(2, #eventsource.open(router.port, "/all", { last_event_id = "earliest" }):take(2))
    router:rewrite(script "2h")
    router:kill "sighup"
    loop.wait_until(function()
      return #first_heads == 2 and #heads == 2
    end, nil, "both to come back")
    assert.matches("\r\nLast%-Event%-ID: 1\r\n", first_heads[2])
    assert.matches("\r\nLast%-Event%-ID: 9\r\n", heads[2])
  end)

  it("of a function keeps its place when its options change", function()
    local url = serve(stream "id: 3\ndata: a\n\n", stream())
    router = server.start(listener(url))
    assert.equal("a", eventsource.open(router.port, "/seen"):next_json().data)
    router:rewrite(listener(url, '{ retry = "20ms" }'))
    router:kill "sighup"
    wait_requests(2)
    assert.matches("\r\nLast%-Event%-ID: 3\r\n", heads[2])
  end)

  it("that changes with each of many reloads holds one connection", function()
    local url = serve(stream "id: 1\ndata: a\n\n", stream())
    router = server.start(listener(url))
    wait_state "open"
    local before
    for round = 1, 20 do
      router:rewrite(listener(url, ('{ retry = "%dms" }'):format(10 + round)))
      router:kill "sighup"
      wait_requests(round + 1)
      loop.wait_until(function()
        return toy.ended == round
      end, nil, "the old connection's end")
      wait_state "open"
      before = before or router:descriptors()
    end
    loop.eventually(function()
      return router:descriptors() <= before
    end, nil, "as many descriptors as before")
  end)

  it("tells that the server could not continue", function()
    local url = serve(stream 'event: reset\ndata: {"reason":"evicted"}\n\nid: 4\ndata: on\n\n')
    router = server.start(listener(url))
    local seen = eventsource.open(router.port, "/seen")
    assert.equal("reset", seen:next_json().event)
    assert.equal("on", seen:next_json().data)
    router:wait_log 'could not continue after "": {"reason":"evicted"}'
  end)
end)
