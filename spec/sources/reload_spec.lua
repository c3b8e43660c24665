-- What a reload does to sources: nothing, as long as their definitions stay.

local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.sources.support"
local toy_server = require "spec.support.toy_server"

local listen, take = support.listen, support.take

describe("a reload", function()
  local toy, heads, connections, router

  --- Serves every request with that function of the connection and the request's number.
  local function serve(respond)
    local seen, open = {}, {}
    heads, connections = seen, open
    toy = toy_server.start(function(connection, head)
      seen[#seen + 1] = head
      open[#open + 1] = connection
      respond(connection, #seen)
    end)
    return "http://127.0.0.1:" .. toy.port .. "/feed"
  end

  local function stream(connection)
    connection:open_stream()
  end

  local function wait_requests(count)
    loop.wait_until(function()
      return #heads >= count
    end, nil, count .. " requests")
  end

  local function reload(text)
    local seen = #router.process.stderr
    if text then
      router:rewrite(support.script(text))
    end
    router:kill "sighup"
    router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
  end

  --- An event with that number as its id and data.
  local function numbered(number)
    return ("id: %d\nevent: tick\ndata: %d\n\n"):format(number, number)
  end

  after_each(server.stop_all)

  for _, case in ipairs {
    { "a function", [[local round = ROUND
      sse.upstream("URL", OPTIONS, function(event) out:publish(event) return round end)]] },
    { "a function that waits", [[local round = ROUND
      sse.upstream("URL", OPTIONS, function(event)
        if event.id:find "3$" then sse.sleep(0.02) end
        out:publish(event)
        if event.id:find "7$" then sse.sleep(0.02) end
        return round
      end)]] },
    { "a channel", [[sse.upstream("URL", OPTIONS, out)]] },
    { "a durable channel", [[sse.upstream("URL", OPTIONS, out)]], "sqlite" },
  } do
    it("keeps the connection of an upstream of " .. case[1] .. ", and loses and doubles none of its events", function()
      local url = serve(stream)
      local store = case[3] and ('sse.store "sqlite:%s/feeds.db"\n'):format(files.directory()) or ""
      local function version(round)
        local text = case[2]:gsub("URL", url):gsub("ROUND", round):gsub("OPTIONS", '{ headers = { ["X-Key"] = "k" } }')
        return store == "" and text or text .. "\n"
      end
      local function script(round)
        local text = support.script(version(round))
        return store == "" and text or (text:gsub("\n", "\n" .. store, 1))
      end
      router = server.start(script(0))
      local listener = listen(router)
      wait_requests(1)
      local sent, pending = 0, ""
      -- Pieces that end anywhere in an event.
      local function send(count)
        for _ = 1, count do
          sent = sent + 1
          pending = pending .. numbered(sent)
        end
        while #pending > 23 do
          connections[1]:chunk(pending:sub(1, 23))
          pending = pending:sub(24)
        end
      end
      for round = 1, 20 do
        local seen = #router.process.stderr
        send(20)
        router:rewrite(script(round))
        router:kill "sighup"
        send(20)
        router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
      end
      connections[1]:chunk(pending)
      assert.same(support.numbers(1, sent), take(listener, sent, 20))
      listener:expect_silence(0.1)
      assert.equal(1, toy.accepted)
      assert.equal(1, #heads)
      assert.equal(0, toy.ended)
    end)
  end

  it("has the new script's function get the rest of an event that was begun, and finishes one with the old", function()
    local url = serve(stream)
    local function version(name)
      return ([[sse.upstream(%q, function(event)
        sse.log.info("%s begins", event.data)
        if event.data == "one" then sse.sleep "300ms" end
        out:publish { event = event.event, data = "%s " .. event.data }
      end)]]):format(url, name, name)
    end
    router = server.start(support.script(version "old"))
    local listener = listen(router)
    wait_requests(1)
    connections[1]:chunk "data: one\n\ndata: two\n\nevent: x\r\nid: 5\r\ndata: th"
    router:wait_log "old begins one"
    -- Two reloads: the second finds a script that still waits for the first one.
    reload(version "middle")
    reload(version "new")
    connections[1]:chunk "ree\r"
    connections[1]:chunk "\n\r\ndata: four\n\n"
    assert.equal(0, listener:pending())
    local events = listener:take(4)
    assert.same({ "old one", "new two", "new three", "new four" },
      { events[1].data, events[2].data, events[3].data, events[4].data })
    assert.equal("x", events[3].event)
    assert.equal(1, toy.accepted)
  end)

  it("closes what is changed or removed, and opens what is new", function()
    local url = serve(stream)
    local function version(options)
      return ("sse.upstream(%q, %s, out)"):format(url, options)
    end
    router = support.start(version "{}")
    router:wait_log ": open"
    connections[1]:chunk(numbered(1))
    assert.equal("1", listen(router):next().data)
    reload(version '{ headers = { ["X-Key"] = "other" } }')
    wait_requests(2)
    loop.wait_until(function()
      return toy.ended == 1
    end, nil, "the old connection's end")
    -- What the channel's log has is not asked for again.
    assert.matches("\r\nLast%-Event%-ID: 1\r\n", heads[2])
    assert.matches("\r\nX%-Key: other\r\n", heads[2])
    reload ""
    loop.wait_until(function()
      return toy.ended == 2
    end, nil, "the second connection's end")
    reload(version "{}")
    wait_requests(3)
  end)

  it("keeps a request of an upstream that is not answered yet", function()
    local url = serve(function() end)
    router = server.start(support.script(("sse.upstream(%q, out)"):format(url)))
    local listener = listen(router)
    wait_requests(1)
    reload()
    reload()
    connections[1]:open_stream()
    connections[1]:chunk(numbered(1))
    assert.equal("1", listener:next().data)
    assert.equal(1, #heads)
  end)

  it("keeps when an upstream comes back, and after which event", function()
    local url = serve(function(connection, number)
      connection:open_stream()
      if number == 1 then
        connection:chunk("retry: 700\n" .. numbered(8))
        connection:write "0\r\n\r\n"
        connection:finish()
      end
    end)
    router = server.start(support.script(("sse.upstream(%q, function(event) out:publish(event) end)"):format(url)))
    router:wait_log "comes back in"
    local ended = loop.now()
    for _ = 1, 5 do
      reload()
    end
    wait_requests(2)
    assert.is_true(loop.now() - ended > 0.6)
    assert.matches("\r\nLast%-Event%-ID: 8\r\n", heads[2])
    assert.equal(2, #heads)
  end)

  it("of a script that is wrong leaves an upstream alone", function()
    local url = serve(stream)
    local text = ("sse.upstream(%q, out)"):format(url)
    router = server.start(support.script(text))
    local listener = listen(router)
    wait_requests(1)
    router:rewrite(support.script(text .. " error 'no'"))
    router:kill "sighup"
    router:wait_log "reload failed"
    connections[1]:chunk(numbered(1))
    assert.equal("1", listener:next().data)
    assert.equal(1, toy.accepted)
  end)

  it("keeps what a poll knows, its schedule and its connection", function()
    local url = serve(function(connection, number)
      connection:respond(number == 1 and "200 OK" or "304 Not Modified", number == 1 and "one" or "",
        'ETag: "1"\r\nLast-Modified: Sat, 21 Nov 2026 03:00:00 GMT\r\n')
    end)
    local function version(more)
      return ([[sse.poll(%q, "400ms", function(response) out:publish { data = response.body%s } end)]])
        :format(url, more or "")
    end
    router = server.start(support.script(version()))
    local listener = listen(router)
    assert.equal("one", listener:next().data)
    local begun = loop.now()
    for round = 1, 4 do
      reload(("local round = %d\n"):format(round) .. version())
    end
    wait_requests(2)
    assert.is_true(loop.now() - begun > 0.3)
    assert.matches('\r\nIf%-None%-Match: "1"\r\n', heads[2])
    assert.matches("\r\nIf%-Modified%-Since: Sat, 21 Nov 2026 03:00:00 GMT\r\n", heads[2])
    wait_requests(3)
    listener:expect_silence(0.05)
    assert.equal(1, toy.accepted)
    -- Another function has heard nothing yet.
    local asked = #heads
    reload(version " .. '!'")
    wait_requests(asked + 1)
    assert.is_nil(heads[asked + 1]:find "If%-")
  end)

  it("has a poll's function finish, once", function()
    local url = serve(function(connection)
      connection:respond("200 OK", "one")
    end)
    local text = support.script(([[sse.poll(%q, "20ms", function(response)
      sse.log.info "begins"
      sse.sleep "300ms"
      out:publish { data = response.body }
    end)]]):format(url))
    router = server.start(text)
    local listener = listen(router)
    router:wait_log "begins"
    reload()
    assert.equal("one", listener:next().data)
    wait_requests(3)
    listener:expect_silence(0.4)
  end)

  it("has a tail's function finish, once", function()
    local folder = files.directory()
    router = server.start(support.script(([[sse.tail("%s/log", { from = "start", parse = function(line)
      sse.log.info("begins", line)
      if line == "1" then sse.sleep "300ms" end
      out:publish { data = line }
    end })]]):format(folder)))
    local listener = listen(router)
    local log = assert(io.open(folder .. "/log", "w"))
    log:write "1\n2\n3\n"
    log:close()
    router:wait_log "begins 1"
    reload()
    local got = take(listener, 3)
    table.sort(got)
    assert.same({ "1", "2", "3" }, got)
    listener:expect_silence(0.1)
  end)

  it("hides no change from a watch, and tells none twice", function()
    local folder = files.directory { old = "1", changed = "1" }
    local text = support.script(([[sse.watch("%s", function(change)
      if change.path:find "slow" then sse.sleep "200ms" end
      out:publish { data = change.change .. " " .. change.path:match "[^/]*$" }
    end, { debounce = "150ms" })]]):format(folder))
    router = server.start(text, { args = { "--log-level", "debug" } })
    router:wait_log ": watches"
    local listener = listen(router)
    local function write(name, content)
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(content)
      file:close()
    end
    -- Within the time that it waits for more, and while its function is busy.
    write("changed", "22")
    write("new", "1")
    os.remove(folder .. "/old")
    reload()
    assert.same({ "changed changed", "created new", "removed old" }, take(listener, 3))
    write("slow", "1")
    write("zz", "1")
    local deadline = loop.now() + loop.limit()
    repeat
      reload()
    until listener:pending() == 2 or loop.now() > deadline
    assert.same({ "created slow", "created zz" }, (function()
      local got = take(listener, 2)
      table.sort(got)
      return got
    end)())
    listener:expect_silence(0.3)
  end)

  it("doubles and misses no event of a recording", function()
    local folder = files.directory()
    local function version(round)
      return ([[local round = %d sse.record("out", "%s/rec.jsonl")
        sse.post("/publish", function(req) out:publish(req.body) return 204 end)
      ]]):format(round, folder)
    end
    router = server.start(support.script(version(0)))
    local count = 0
    for round = 1, 10 do
      for _ = 1, 3 do
        count = count + 1
        http.post(router.port, "/publish", tostring(count))
      end
      reload(version(round))
    end
    router:stop()
    local ids = {}
    for line in io.lines(folder .. "/rec.jsonl") do
      ids[#ids + 1] = line:match '"data":"(%d+)"'
    end
    assert.same(support.numbers(1, count), ids)
  end)
end)
