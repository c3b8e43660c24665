-- sse.record and sse.replay: events of a channel to a file, and from a file to a channel with their timing.

local json = require "cjson"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"
local support = require "spec.sources.support"

local listen = support.listen

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]*\n" do
    lines[#lines + 1] = line:sub(1, -2)
  end
  return lines
end

describe("a recording", function()
  after_each(server.stop_all)

  it("has every event in a line of JSON, as it happens", function()
    local router = support.start [[
      sse.record(out, "out.jsonl")
      sse.publish("out", { event = "first", data = { n = 1, list = sse.array {} }, key = "k" })
      sse.publish("out", { data = "two\nlines", id = "own" })
      sse.publish("out", "")
    ]]
    local text = support.wait_file(router.directory .. "/out.jsonl", function(content)
      return #lines_of(content) == 3 and content
    end)
    local seen = {}
    for index, line in ipairs(lines_of(text)) do
      seen[index] = json.decode(line)
      assert.is_true(math.abs(seen[index].time - os.time()) < 10)
      assert.matches("^{\"time\":%d+%.%d%d%d,", line)
    end
    assert.same({ "first", 1, "k" }, { seen[1].event, seen[1].data.n, seen[1].key })
    assert.matches("^%w+%-1$", seen[1].id)
    assert.matches('"list":%[%]', text)
    assert.same({ "two\nlines", "own" }, { seen[2].data, seen[2].id })
    assert.equal("", seen[3].data)
  end)

  it("may be an event stream, and of all channels that a pattern means", function()
    local router = support.start [[
      sse.record("out", "out.sse")
      sse.record("news.*", "news.jsonl")
      sse.publish("out", { event = "first", data = { n = 1 }, id = 7 })
      sse.publish("news.one", "1")
      sse.publish("news.two", "2")
      sse.publish("other", "3")
    ]]
    local text = support.wait_file(router.directory .. "/out.sse", function(content)
      return content ~= "" and content
    end)
    assert.matches('^: time=%d+%.%d%d%d\nid: ?7\nevent: ?first\ndata: ?{"n":1}\n\n$', text)
    local lines = lines_of(files.read(router.directory .. "/news.jsonl"))
    assert.equal(2, #lines)
    assert.same({ "news.one", "1" }, { json.decode(lines[1]).channel, json.decode(lines[1]).data })
    assert.same({ "news.two", "2" }, { json.decode(lines[2]).channel, json.decode(lines[2]).data })
  end)

  it("goes on after a restart, and ends when it is stopped", function()
    local router = support.start [[
      local recording = sse.record("out", "out.jsonl")
      sse.publish("out", "one")
      sse.get("/two", function() out:publish "two" return {} end)
      sse.get("/stop", function() recording:stop() recording:stop() out:publish "three" return {} end)
    ]]
    local path = router.directory .. "/out.jsonl"
    for _, route in ipairs { "/two", "/stop" } do
      http.get(router.port, route)
    end
    assert.equal(2, #lines_of(files.read(path)))
    router:stop()
    server.start_file(router.script)
    support.wait_file(path, function(content)
      return #lines_of(content) == 3
    end)
  end)

  it("is complete also through reloads", function()
    local function script(round)
      return support.script(([[
        local round = %d
        sse.record("out", "out.jsonl")
        sse.post("/publish", function(req) out:publish(req.body) return 204 end)
      ]]):format(round))
    end
    local router = server.start(script(0))
    for round = 1, 3 do
      http.post(router.port, "/publish", "before " .. round)
      local seen = #router.process.stderr
      router:rewrite(script(round))
      router:kill "sighup"
      http.post(router.port, "/publish", "meanwhile " .. round)
      router.process:wait_line("stderr", "reloaded the script", nil, seen + 1)
    end
    local data = {}
    for index, line in ipairs(lines_of(files.read(router.directory .. "/out.jsonl"))) do
      data[index] = json.decode(line).data
    end
    assert.same({ "before 1", "meanwhile 1", "before 2", "meanwhile 2", "before 3", "meanwhile 3" }, data)
  end)

  it("that cannot be written is told of", function()
    support.expect_mistakes {
      ["sse.record('a', '/no/such/folder/x')"] =
        "sse.record: /no/such/folder/x: No such file or directory",
      ["sse.record('a', 'x', { formt = 'sse' })"] =
        "sse.record: unknown option 'formt' (did you mean 'format'?)",
      ["sse.record({}, 'x')"] = "sse.record: argument 1 (channel) must be a string, got table",
    }
    local router = support.start [[
      sse.record("out", "/dev/full")
      sse.publish("out", "x")
      sse.get("/count", function() return { errors = sse.stats().script_errors } end)
    ]]
    router:wait_log "error record out: No space left on device"
    assert.equal(1, http.get(router.port, "/count"):json().errors)
  end)
end)

describe("a replay", function()
  after_each(server.stop_all)

  local recording = table.concat({
    '{"time":100.0,"event":"a","data":{"n":1},"id":"x-1","key":"k"}',
    '{"time":100.2,"data":"text"}',
    "",
    "nonsense",
    '{"time":99,"data":"an earlier clock"}',
    '{"time":100.5,"data":"last"}',
  }, "\n")

  --- A route that starts it, so that a client hears it from its first event on.
  local function start(call, content)
    return support.start(([[
      sse.get("/start", function() %s return {} end)
    ]]):format(call), { files = { recording = content } })
  end

  local function begin(router)
    http.get(router.port, "/start")
  end

  it("publishes its events with their timing", function()
    local router = start('sse.replay("recording", { channel = out })', recording)
    local source = listen(router)
    begin(router)
    local first = source:next()
    local started = loop.now()
    assert.same({ "a", '{"n":1}' }, { first.event, first.data })
    assert.not_equal("x-1", first.id)
    assert.equal("text", source:next().data)
    assert(loop.now() - started >= 0.15, "the second came too early")
    assert.equal("an earlier clock", source:next().data)
    assert.equal("last", source:next().data)
    assert(loop.now() - started >= 0.45, "the last came too early")
    router:wait_log "error replay recording: no recorded event: .*"
    source:expect_silence(0.1)
  end)

  it("may be faster, with the ids that were recorded, and again and again", function()
    local router = start([[
      sse.replay("recording", { channel = out, speed = 50, loop = true, keep_ids = true, interval = 5 })
    ]], recording)
    local source = listen(router)
    begin(router)
    local events = source:take(12)
    for round = 0, 2 do
      assert.same({ '{"n":1}', "x-1" }, { events[4 * round + 1].data, events[4 * round + 1].id })
      assert.equal("last", events[4 * round + 4].data)
    end
  end)

  it("may be of an event stream, with and without times", function()
    local text = "\u{FEFF}: time=5\nevent: a\nid: 9\ndata: 1\ndata: more\n\n"
      .. ": time=5.05\ndata: 2\n\n: hi\n\ndata: 3\r\n\r\ndata: cut"
    local router = start('sse.replay("recording", { channel = out, interval = "100ms" })', text)
    local source = listen(router)
    begin(router)
    local event = source:next()
    local started = loop.now()
    assert.same({ "a", "1\nmore" }, { event.event, event.data })
    assert.equal("2", source:next().data)
    assert.equal("3", source:next().data)
    assert(loop.now() - started >= 0.13, "the last came too early")
    source:expect_silence(0.15)
  end)

  it("of what sse.record has written gives the same, to the channels it came from", function()
    local router = support.start [[
      sse.record("news.*", "recording")
      sse.publish("news.one", { event = "e", data = { a = { 1, 2.5, sse.null } }, key = "k" })
      sse.publish("news.two", "text\nof lines")
    ]]
    support.wait_file(router.directory .. "/recording", function(content)
      return #lines_of(content) == 2
    end)
    router:stop()
    local text = files.read(router.directory .. "/recording"):gsub('"news%.%a+"', '"out"')
    local second = start('sse.replay("recording", { speed = math.huge })', text)
    local source = listen(second)
    begin(second)
    local event = source:next()
    assert.same({ "e", '{"a":[1,2.5,null]}' }, { event.event, event.data })
    assert.equal("text\nof lines", source:next().data)
  end)

  it("goes on where it was after a reload, and does not begin again when it is over", function()
    local content = {}
    for number = 1, 100 do
      content[number] = ('{"time":%.3f,"data":"%d"}'):format(number / 100, number)
    end
    local function script(round)
      return support.script(([[
        local round = %d
        sse.replay("recording", { channel = out })
        sse.replay("short", { channel = "out" })
      ]]):format(round))
    end
    local router = server.start(script(0), {
      files = { recording = table.concat(content, "\n"), short = '{"data":"s"}' },
    })
    local source = listen(router)
    local data = {}
    for round = 1, 3 do
      for _, line in ipairs(support.take(source, 20)) do
        data[#data + 1] = line ~= "s" and line or nil
      end
      router:rewrite(script(round))
      router:kill "sighup"
    end
    while #data < 100 do
      data[#data + 1] = source:next().data
    end
    assert.same(support.numbers(1, 100), data)
    source:expect_silence(0.1)
  end)

  it("without events, or of nothing, is told of", function()
    local router = support.start([[
      sse.replay("empty", { channel = out, loop = true })
      sse.replay("missing", { channel = out })
      sse.replay("nowhere")
    ]], { files = { empty = "\n\n", nowhere = '{"data":1}\n' } })
    router:wait_log "error replay empty: the recording has no events"
    router:wait_log "error replay missing: no such file or directory"
    router:wait_log "error replay nowhere: .*option 'channel' is missing"
  end)

  it("can be stopped", function()
    local router = support.start([[
      local replay = sse.replay("recording", { channel = out, speed = 100, loop = true })
      sse.get("/stop", function() replay:stop() return {} end)
    ]], { files = { recording = recording } })
    local source = listen(router)
    source:take(20)
    http.get(router.port, "/stop")
    http.get(router.port, "/stop")
    source.queue, source.first, source.last = {}, 1, 0
    source:expect_silence(0.2)
  end)

  it("tells of mistakes with the script's line", function()
    support.expect_mistakes {
      ["sse.replay('x', { speed = 0 })"] = "sse.replay: option 'speed' must be a number of at least 0.001, got 0",
      ["sse.replay('x', { lop = true })"] = "sse.replay: unknown option 'lop' (did you mean 'loop'?)",
    }
  end)
end)
