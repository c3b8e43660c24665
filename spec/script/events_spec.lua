-- Publishing: the same call from everywhere, what an event may hold, and what reaches the wire.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

local function start(text, options)
  return server.start('local sse = require "sse"\nlocal news = sse.channel "news"\nsse.get("/news", news)\n' .. text,
    options)
end

--- Publishes what a Lua expression says; the answer is { id = } or { error = }.
local publisher = [[
sse.post("/publish", function(req)
  local fn = assert(load("local sse = ... return " .. req.body, "=event"))
  local ok, id, subscribers = pcall(sse.publish, "news", fn(sse))
  return ok and { id = id, subscribers = subscribers } or { error = id }
end)
]]

local function publish(router, expression)
  return http.post(router.port, "/publish", expression):json()
end

describe("publishing", function()
  it("is the same call from everywhere", function()
    local router = start [[
sse.publish("news", "main chunk")
sse.spawn(function() news:publish "spawn" end)
sse.get("/handler", function() news:publish { data = "handler" } end)
sse.post("/timer", function() sse.after(0, function() sse.publish(news, "timer") end) end)
sse.get("/stream", function() return sse.stream(function(client) news:publish "stream" client:send "own" end) end)
sse.get("/guard", function() news:publish "guard" return 204 end, function() end)
sse.get("/coroutine", function() coroutine.wrap(function() news:publish "coroutine" end)() end)
sse.filter("copy", function(event) sse.publish("news", "filter of " .. event.data) return true end)
sse.get("/filtered", function() return sse.subscribe { "other", filter = "copy" } end)
sse.get("/other", function() sse.publish("other", "x") end)
sse.on("unsubscribe", function() news:publish "unsubscribe" end)
sse.get("/defer", function() local _ <close> = sse.defer(function() news:publish "defer" end) return 204 end)
sse.get("/earliest", function() return sse.subscribe { "news", start = "earliest" } end)
]]
    local source = eventsource.open(router.port, "/earliest")
    local function expect(data)
      assert.equal(data, source:next().data)
    end
    expect "main chunk"
    expect "spawn"
    http.get(router.port, "/handler")
    expect "handler"
    http.post(router.port, "/timer")
    expect "timer"
    eventsource.open(router.port, "/stream", { reconnect = false }):wait_ending()
    expect "stream"
    http.get(router.port, "/guard")
    expect "guard"
    http.get(router.port, "/coroutine")
    expect "coroutine"
    http.get(router.port, "/defer")
    expect "defer"
    local filtered = eventsource.open(router.port, "/filtered"):wait_open()
    http.get(router.port, "/other")
    expect "filter of x"
    filtered:close()
    expect "unsubscribe"
  end)

  it("answers with the event's id and the number of subscribers", function()
    local router = start(publisher)
    assert.equal(0, publish(router, "'x'").subscribers)
    local sources = {}
    for index = 1, 3 do
      sources[index] = eventsource.open(router.port, "/news"):wait_open()
    end
    local answer = publish(router, "'y'")
    assert.equal(3, answer.subscribers)
    assert.equal(answer.id, sources[1]:next().id)
    assert.equal("mine", publish(router, "{ id = 'mine', data = 'z' }").id)
  end)

  it("gives ids that grow", function()
    local router = start(publisher)
    local last = 0
    for _ = 1, 20 do
      local number = tonumber(publish(router, "'x'").id:match "^%w+%-(%d+)$")
      assert.is_true(number > last)
      last = number
    end
  end)
end)

describe("an event", function()
  local cases = {
    { "'text'", { event = "message", data = "text" } },
    { "''", { event = "message", data = "" } },
    { "{ data = 'text' }", { event = "message", data = "text" } },
    { "{ event = 'add', data = 'text' }", { event = "add", data = "text" } },
    { "{ event = '', data = 'text' }", { event = "message", data = "text" } },
    { "{ event = ' add ', data = 'text' }", { event = " add ", data = "text" } },
    { "{ event = 7, data = 8 }", { event = "7", data = "8" } },
    { "{ data = { a = 1 } }", { event = "message", data = '{"a":1}' } },
    { "{ data = {} }", { event = "message", data = "{}" } },
    { "{ data = sse.array {} }", { event = "message", data = "[]" } },
    { "{ data = true }", { event = "message", data = "true" } },
    { "{ data = 1.5 }", { event = "message", data = "1.5" } },
    { "{ data = sse.null }", { event = "message", data = "null" } },
    { "{ event = 'empty' }", { event = "empty", data = "" } },
    { "{}", { event = "message", data = "" } },
    { "' leading space'", { event = "message", data = " leading space" } },
    { "'  two'", { event = "message", data = "  two" } },
    { "'\\ttab'", { event = "message", data = "\ttab" } },
    { "': colon'", { event = "message", data = ": colon" } },
    { "'data: x'", { event = "message", data = "data: x" } },
    { "'a\\nb'", { event = "message", data = "a\nb" } },
    { "'a\\rb'", { event = "message", data = "a\nb" } },
    { "'a\\r\\nb'", { event = "message", data = "a\nb" } },
    { "'a\\n\\rb'", { event = "message", data = "a\n\nb" } },
    { "'a\\r\\rb'", { event = "message", data = "a\n\nb" } },
    { "'\\n'", { event = "message", data = "\n" } },
    { "'a\\n'", { event = "message", data = "a\n" } },
    { "'\\r\\na'", { event = "message", data = "\na" } },
    { "' a\\n b'", { event = "message", data = " a\n b" } },
    { "'a\\n\\nid: evil\\n\\n'", { event = "message", data = "a\n\nid: evil\n\n" } },
    { "'a\\0b'", { event = "message", data = "a\0b" } },
    { "'\\u{20AC}\\u{1F600}'", { event = "message", data = "\u{20AC}\u{1F600}" } },
    { "'\\u{FEFF}mark'", { event = "message", data = "\u{FEFF}mark" } },
    { "'a\\u{85}b\\u{2028}c'", { event = "message", data = "a\u{85}b\u{2028}c" } },
    { "('x'):rep(100000)", { event = "message", data = ("x"):rep(100000) } },
    { "('\\n'):rep(1000)", { event = "message", data = ("\n"):rep(1000) } },
  }

  it("arrives as it was written", function()
    local router = start(publisher)
    local source = eventsource.open(router.port, "/news"):wait_open()
    for _, case in ipairs(cases) do
      local answer = publish(router, case[1])
      assert.is_nil(answer.error, case[1])
      local event = source:next()
      assert.same({ event = case[2].event, data = case[2].data, id = answer.id }, event, case[1])
    end
  end)

  it("may have an id of its own, or an empty one", function()
    local router = start(publisher)
    local source = eventsource.open(router.port, "/news"):wait_open()
    for expression, id in pairs {
      ["42"] = "42", ["'a b'"] = "a b", ["'\\u{E9}'"] = "\u{E9}", ["1.5"] = "1.5", ["''"] = "",
    } do
      publish(router, ("{ id = %s, data = 'x' }"):format(expression))
      assert.equal(id, source:next().id, expression)
    end
  end)

  it("may set the client's retry", function()
    local router = start(publisher)
    local source = eventsource.open(router.port, "/news"):wait_open()
    for expression, milliseconds in pairs { ["'3s'"] = 3000, ["0.25"] = 250, ["0"] = 0, ["'1h'"] = 3600000 } do
      publish(router, ("{ retry = %s, data = 'x' }"):format(expression))
      source:next()
      assert.equal(milliseconds, source.retries[#source.retries], expression)
    end
  end)

  it("never shows its meta", function()
    local router = start(publisher)
    local connection = http.connect(router.port)
    connection:request("GET", "/news")
    connection:wait_bytes(1)
    publish(router, "{ data = 'seen', meta = { secret = 'unseen' }, key = 'hidden' }")
    publish(router, "'last'")
    require "spec.support.loop".wait_until(function()
      return connection:unread():find("last", 1, true)
    end)
    assert.truthy(connection:unread():find("seen", 1, true))
    assert.is_nil(connection:unread():find("unseen", 1, true))
    assert.is_nil(connection:unread():find("hidden", 1, true))
  end)

  local refused = {
    { "{ event = 'a\\nb' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ event = 'a\\rb' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ event = 'a\\r\\ndata: x' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ event = 'a\\0b' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ id = 'a\\nb' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ id = 'a\\rb' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ id = '\\0' }", "a line break or NUL is not allowed in an event's name or id" },
    { "{ id = '\\1' }", "an event's id comes back in a header" },
    { "{ id = 'a\\tb' }", "an event's id comes back in a header" },
    { "{ id = 'a\\127' }", "an event's id comes back in a header" },
    { "{ id = ' a' }", "an event's id comes back in a header" },
    { "{ id = 'a ' }", "an event's id comes back in a header" },
    { "{ id = ('x'):rep(4097) }", "an event's id comes back in a header" },
    { "{ id = 'earliest' }", "an event's id may not be a starting point" },
    { "{ id = 'latest' }", "an event's id may not be a starting point" },
    { "{ id = 'last=5' }", "an event's id may not be a starting point" },
    { "{ id = 'since=' }", "an event's id may not be a starting point" },
    { "{ event = '\\xff' }", "must be valid UTF-8" },
    { "{ id = '\\xc3' }", "must be valid UTF-8" },
    { "'\\xff'", "must be valid UTF-8" },
    { "'a\\xed\\xa0\\x80b'", "must be valid UTF-8" },
    { "'\\xc0\\x80'", "must be valid UTF-8" },
    { "'\\xf4\\x90\\x80\\x80'", "must be valid UTF-8" },
    { "{ data = { text = '\\xff' } }", "data.text: text that is not UTF-8" },
    { "{ data = { a = { b = 0/0 } } }", "data.a.b: NaN cannot be sent as JSON" },
    { "{ data = print }", "data: a function cannot be sent as JSON" },
    { "{ data = { [1] = 1, x = 2 } }", "data.x: a list that also has named fields cannot be sent as JSON" },
    { "{ meta = { f = print } }", "meta.f: a function cannot be sent as JSON" },
    { "{ retry = -1 }", "event.retry: must be a duration" },
    { "{ retry = 0/0 }", "event.retry: must be a duration" },
    { "('x'):rep(2000000)", "limit" },
  }

  it("that would break the stream is refused, and nothing of it is sent", function()
    local router = start(publisher)
    local source = eventsource.open(router.port, "/news"):wait_open()
    for _, case in ipairs(refused) do
      local answer = publish(router, case[1])
      assert.truthy(answer.error and answer.error:find(case[2], 1, true), ("%s: %s"):format(case[1], answer.error))
    end
    publish(router, "'fine'")
    assert.equal("fine", source:next().data)
  end)

  it("has the script's place in its refusal", function()
    local router = start [[
sse.get("/publish", function()
  news:publish {
    event = "a\nb" }
end)
sse.get("/own", function() return sse.stream(function(client)
  local ok, message = pcall(client.send, client, { id = "a\nb" })
  client:send(message)
end) end)
]]
    assert.equal(500, http.get(router.port, "/publish").status)
    router:wait_log "GET /publish: %S*script.lua:%d+: publish: a line break or NUL is not allowed"
    local source = eventsource.open(router.port, "/own")
    assert.matches("client:send: a line break or NUL is not allowed", source:next().data)
  end)

  it("is at most as large as --max-event says", function()
    local router = start(publisher, { args = { "--max-event", "1k" } })
    assert.is_nil(publish(router, "('x'):rep(1024)").error)
    assert.matches("1024", publish(router, "('x'):rep(1025)").error)
  end)
end)

describe("a channel", function()
  it("tells of itself", function()
    local router = start [[
sse.get("/of", function()
  local one = sse.channel("one", { history = 2 })
  for i = 1, 5 do one:publish(tostring(i)) end
  return { one.name, one.subscribers, one.length, one.published, one.closed, tostring(one), sse.channel "one" == one }
end)
]]
    assert.same({ "one", 0, 2, 5, false, "channel one", false }, http.get(router.port, "/of"):json())
  end)

  it("that is closed ends its streams and takes no more", function()
    local router = start [[
sse.post("/close", function()
  news:publish "last"
  news:close()
  news:close()
  local ok, message = pcall(news.publish, news, "too late")
  return { ok, message, news.closed, tostring(news), (select(2, pcall(function() return news.name end))) }
end)
sse.post("/again", function() sse.publish("news", "again") end)
]]
    local source = eventsource.open(router.port, "/news", { reconnect = false }):wait_open()
    local answer = http.post(router.port, "/close"):json()
    assert.equal("last", source:next().data)
    assert.equal("complete", source:wait_ending())
    assert.same({ false, true, "channel (closed)" }, { answer[1], answer[3], answer[4] })
    assert.matches("script.lua:%d+: the channel is closed", answer[2])
    assert.matches("the channel is closed", answer[5])
    assert.equal(204, http.post(router.port, "/again").status)
  end)

  it("may have any name", function()
    local router = start [[
sse.get("/names", function(req)
  local name = req.query.name
  sse.publish(name, "x")
  return { sse.channel(name).name == name, sse.channel(name).length }
end)
]]
    for _, name in ipairs { "a", "a.b", "a b", "%C3%A4", "%F0%9F%90%98", "a/b:c", ("x"):rep(255) } do
      assert.same({ true, 1 }, http.get(router.port, "/names?name=" .. name:gsub(" ", "+")):json(), name)
    end
  end)

  it("is one of at most --max-channels", function()
    local router = start([[
sse.get("/make", function(req)
  for i = 1, 100 do sse.channel("made " .. i) end
end)
]], { args = { "--max-channels", "20" } })
    assert.equal(500, http.get(router.port, "/make").status)
    router:wait_log "script.lua:5: .*limit of 20 channels"
    eventsource.open(router.port, "/news"):wait_open()
  end)
end)
