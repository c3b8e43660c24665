-- sse.publisher: what can be sent to the ready-made endpoint, and what it answers.

local curl = require "spec.support.curl"
local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local json = require "cjson"
local server = require "spec.support.server"
local support = require "spec.durable.support"

local ndjson = { ["Content-Type"] = "application/x-ndjson" }
local json_type = { ["Content-Type"] = "application/json; charset=utf-8" }
local form_type = { ["Content-Type"] = "application/x-www-form-urlencoded" }

describe("the publishing endpoint", function()
  local router, reader

  before_each(function()
    router = support.start([[
      sse.channel("keyed", { key = "symbol" })
      sse.channel("ruled", { key = function(event) return event.data.a.b end })
      sse.publisher("/put/:channel", { method = "PUT" })
      sse.publisher("/news", { channel = "news", guards = sse.auth.token { secret = "open sesame" } })
      sse.publisher("/two", { channel = sse.channel "a", guards = {
        function(req) req.first = true end,
        function(req) if not req.first or req.query.no then return 403 end end } })
    ]], { database = false, args = { "--max-event", "10k", "--max-body", "64k" } })
    reader = support.open(router, "channels=a,keyed,ruled,news"):wait_open()
  end)

  after_each(server.stop_all)

  --- Posts and gives what subscribers get: name, data, id.
  local function sent(body, headers, path)
    local answer = http.post(router.port, path or "/publish/a", body, headers)
    assert.equal(201, answer.status, answer.body)
    assert.equal("application/json", answer.headers["content-type"]:match "^[^;]*")
    local event = reader:next()
    assert.equal(answer:json().id, event.id)
    return { event.event, event.data, event.id:match "^%w+%-%d+$" and "given" or event.id }
  end

  it("takes a raw body as the data", function()
    assert.same({ "message", "hello", "given" }, sent "hello")
    assert.same({ "message", '{"a":1}', "given" }, sent('{"a":1}', { ["Content-Type"] = "text/plain" }))
    assert.same({ "message", "two\nlines", "given" }, sent "two\r\nlines")
    assert.same({ "message", "a", "given" }, sent("a", { ["Content-Type"] = "image/png" }))
    assert.equal(201, http.post(router.port, "/publish/a", "").status)
    assert.equal("", reader:next().data)
  end)

  it("takes names and ids from headers or the query", function()
    assert.same({ "alert", "x", "id 1" }, sent("x", { Event = "alert", ["Event-Id"] = "id 1" }))
    assert.same({ "alert", "x", "id 2" }, sent("x", nil, "/publish/a?event=alert&id=id+2"))
    assert.same({ "head", "x", "h" }, sent("x", { Event = "head", ["Event-Id"] = "h" }, "/publish/a?event=q&id=q"))
    assert.same({ "message", "x", "given" }, sent("x", { Event = "", ["Event-Id"] = "" }))
    assert.same({ "message", "x", "given" }, sent("x", { ["Event-Key"] = "k" }, "/publish/keyed"))
    assert.same({ "message", "x", "given" }, sent("x", nil, "/publish/keyed?key=k"))
  end)

  it("takes JSON: an event, or the data of one", function()
    assert.same({ "message", '{"a":[1,2]}', "given" }, sent('{ "a": [1, 2] }', json_type))
    assert.same({ "e", "text", "7" }, sent('{"event":"e","data":"text","id":7}', json_type))
    assert.same({ "e", '{"x":1}', "given" }, sent('{"event":"e","data":{"x":1},"retry":"5s","key":3}', json_type))
    assert.equal(5000, reader.retries[#reader.retries])
    for _, data in ipairs { '{"data":1,"other":2}', '{"data":1,"event":{}}', '{"event":"e"}', "[]", "{}", "null", "1",
      "false", '[{"data":1}]' } do
      local expected = data == "null" and "null" or data
      assert.same({ "message", json.decode(expected) },
        { "message", json.decode(sent(data, json_type)[2]) }, data)
    end
    assert.same({ "message", '{"symbol":"ACME"}', "given" }, sent('{"symbol":"ACME"}', json_type, "/publish/keyed"))
    assert.same({ "message", '{"a":{"b":"c"}}', "given" }, sent('{"a":{"b":"c"}}', json_type, "/publish/ruled"))
  end)

  it("takes forms", function()
    assert.same({ "e", "a & b", "i" }, sent("data=a+%26+b&event=e&id=i", form_type))
    local headers = { ["Content-Type"] = form_type["Content-Type"], Event = "from header" }
    assert.same({ "from header", "x", "given" }, sent("data=x", headers))
    assert.same({ "message", "just text", "given" }, sent("just text", form_type))
    assert.same({ "message", '{"a":1}', "given" }, sent('{"a":1}', form_type))
  end)

  it("takes a batch of JSON lines, all or nothing", function()
    local lines = '{"data":1,"event":"one"}\r\n\n{"n":2}\n"three"'
    local answer = http.post(router.port, "/publish/a?event=other", lines, ndjson)
    assert.equal(201, answer.status)
    local published = answer:json().published
    assert.equal(3, #published)
    local events = reader:take(3)
    assert.same({ "one", "other", "other" }, { events[1].event, events[2].event, events[3].event })
    assert.same({ "1", '{"n":2}', "three" }, { events[1].data, events[2].data, events[3].data })
    for index, event in ipairs(events) do
      assert.equal(published[index].id, event.id)
    end
    local single = http.post(router.port, "/publish/a", '{"n":1}', ndjson):json().published
    assert.equal(reader:next().id, single[1].id)
    for body, problem in pairs {
      ['1\n2\nx'] = "line 3 is no JSON",
      ['1\n{"data":1,"event":"a\\nb"}'] = "line 2: a line break",
      ["\n\r\n"] = "no lines",
    } do
      answer = http.post(router.port, "/publish/a", body, ndjson)
      assert.equal(400, answer.status)
      assert.is_truthy(answer:json().error:find(problem, 1, true), answer.body)
    end
    reader:expect_silence(0.1)
  end)

  it("serves curl without further ado", function()
    local url = router.url .. "/publish/a"
    local function run(...)
      local result = curl.run { ... }
      assert.equal(0, result.status, result.stderr)
      assert.is_string(json.decode(result.stdout).id or json.decode(result.stdout).published[1].id)
    end
    run("-d", "hello", url)
    run("-d", '{"a":1}', "-H", "Content-Type: application/json", url)
    run("-d", "data=form", "-d", "event=e", url)
    run("--data-binary", "1\n2\n", "-H", "Content-Type: application/jsonl", url)
    run("-H", "Event: named", "-d", "x", url)
    run("-X", "PUT", "-d", "put", router.url .. "/put/a")
    local names, data = {}, {}
    for index, event in ipairs(reader:take(7)) do
      names[index], data[index] = event.event, event.data
    end
    assert.same({ "message", "message", "e", "message", "message", "named", "message" }, names)
    assert.same({ "hello", '{"a":1}', "form", "1", "2", "x", "put" }, data)
  end)

  it("says clearly what is wrong, and publishes nothing", function()
    local cases = {
      { "{", json_type, "the body is no JSON" },
      { "", json_type, "the body is no JSON" },
      { "\xff", nil, "UTF-8" },
      { "data=%ff", form_type, "UTF-8" },
      { "x", { Event = "caf\xe9" }, "UTF-8" },
      { '{"data":1,"id":"a\\u0000b"}', json_type, "line break or NUL" },
      { '{"a":1}\r\n\n\n{bad\n', { ["Content-Type"] = "application/x-ndjson" }, "line 4 is no JSON" },
      { '\n{"data":1,"id":"latest"}', { ["Content-Type"] = "application/x-ndjson" }, "line 2: an event's id may not" },
      { '{"data":1,"retry":"soon"}', json_type, "duration" },
      { '{"data":1,"retry":-1}', json_type, "duration" },
      { "data=1&retry=x", form_type, "duration" },
      { '{"a":1}', json_type, "needs a key", "/publish/keyed" },
      { "text", nil, "needs a key", "/publish/keyed" },
      { '{"symbol":{}}', json_type, "needs a key", "/publish/keyed" },
      { "1", json_type, "", "/publish/ruled" },
      { "x", { ["Idempotency-Key"] = ("k"):rep(256) }, "255 bytes" },
      { "x", nil, "pattern", "/publish/a.*" },
      { "x", nil, "255 bytes", "/publish/" .. ("n"):rep(256) },
    }
    local before = support.stats(router)
    for _, case in ipairs(cases) do
      local answer = http.post(router.port, case[4] or "/publish/a", case[1], case[2])
      assert.equal(400, answer.status, case[1])
      local message = answer:json().error
      assert.is_truthy(message:find(case[3], 1, true), ("%s: %s"):format(case[1], message))
      assert.is_nil(message:find("script.lua", 1, true), message)
      assert.is_nil(message:find("traceback", 1, true), message)
    end
    reader:expect_silence(0.1)
    local after = support.stats(router)
    assert.same({ before.published, before.channels, 0 }, { after.published, after.channels, after.script_errors })
  end)

  it("answers 413 to what is too large", function()
    local text = ("x"):rep(10241)
    for body, headers in pairs { [text] = false, [('"%s"'):format(text)] = json_type, ["data=" .. text] = form_type } do
      local answer = http.post(router.port, "/publish/a", body, headers or nil)
      assert.equal(413, answer.status)
      assert.is_truthy(answer:json().error:find("10240 bytes", 1, true), answer.body)
    end
    assert.equal(413, http.post(router.port, "/publish/a", ("x"):rep(70000)).status)
    assert.equal(413, http.post(router.port, "/publish/a", '1\n"' .. text .. '"', ndjson).status)
    assert.equal(201, http.post(router.port, "/publish/a", text:sub(2)).status)
    assert.equal(10240, #reader:next().data)
    reader:expect_silence(0.1)
  end)

  it("has guards, and a method and a channel of its own", function()
    assert.equal(401, http.post(router.port, "/news", "x").status)
    assert.same({ "message", "x", "given" }, sent("x", { Authorization = "Bearer open sesame" }, "/news"))
    assert.equal(403, http.post(router.port, "/two?no=1", "x").status)
    assert.same({ "message", "x", "given" }, sent("x", nil, "/two"))
    assert.equal(405, http.get(router.port, "/publish/a").status)
    assert.equal(405, http.post(router.port, "/put/a", "x").status)
    assert.equal(201, http.request(router.port, "PUT", "/put/a", nil, "x").status)
  end)

  it("is refused by the script's check when it makes no sense", function()
    for code, problem in pairs {
      ['sse.publisher "/x"'] = ":channel",
      ['sse.publisher("/x", { chanel = "a" })'] = "did you mean 'channel'",
      ['sse.publisher("/x", { channel = 1 })'] = "a channel or its name",
      ['sse.publisher("/x", { channel = "a", guards = 1 })'] = "guards",
    } do
      local result = server.run { "-e", 'sse = require "sse" ' .. code }
      assert.equal(1, result.status)
      assert.is_truthy(result.stderr:find(problem, 1, true), result.stderr)
    end
  end)
end)

-- Plain publications never enter the script (src/script/endpoint.h); a query that says nothing makes one that does.
describe("the plain case", function()
  after_each(server.stop_all)

  local function start(lines)
    return server.start('local sse = require "sse"\n' .. lines .. [[
sse.filter("long", function(event) return #event.data > 3 end)
sse.pipe("a", "copies", function(event) return { data = "copy of " .. event.data } end)
sse.get("/events", function(req) return sse.subscribe { channels = sse.split(req.query.channels) } end)
sse.get("/long", function() return sse.subscribe { "a", filter = { "long" } } end)
sse.publisher "/publish/:channel"
sse.publisher("/fixed", { channel = sse.channel "a" })
]])
  end

  it("is answered as every other", function()
    local router = start ""
    local reader = eventsource.open(router.port, "/events?channels=a"):wait_open()
    http.post(router.port, "/publish/a", "the first makes the channel")
    reader:next()
    for _, path in ipairs { "/publish/a", "/fixed" } do
      for _, method in ipairs { "POST", "GET" } do
        local plain = http.request(router.port, method, path, nil, "x")
        local other = http.request(router.port, method, path .. "?x=1", nil, "x")
        assert.equal(other.status, plain.status)
        for name, value in pairs(other.headers) do
          if name ~= "date" and name ~= "content-length" then
            assert.equal(value, plain.headers[name], name)
          end
        end
        if method == "POST" then
          local answers = { plain:json(), other:json() }
          for _, answer in ipairs(answers) do
            assert.equal(answer.id, reader:next().id)
            answer.id = nil
          end
          assert.same({ subscribers = 1, durable = false }, answers[1])
          assert.same(answers[2], answers[1])
        end
      end
    end
  end)

  it("is judged by filters and runs through pipes", function()
    local router = start ""
    local long = eventsource.open(router.port, "/long"):wait_open()
    local copies = eventsource.open(router.port, "/events?channels=copies"):wait_open()
    for _, data in ipairs { "no", "long enough" } do
      assert.equal(201, http.post(router.port, "/publish/a", data).status)
      assert.equal("copy of " .. data, copies:next().data)
    end
    assert.equal("long enough", long:next().data)
  end)

  it("is refused where it must be", function()
    local router = start 'sse.channel("a")\n'
    assert.equal(400, http.post(router.port, "/publish/a", "\xff").status)
    assert.equal(413, http.post(router.port, "/publish/a", ("x"):rep(1024 * 1024 + 1)).status)
    assert.equal(400, http.post(router.port, "/publish/%2a", "x").status)
    assert.equal(404, http.post(router.port, "/publish/a/b", "x").status)
  end)

  it("has the guards of sse.use", function()
    local router = start 'sse.use(function(req) if req.headers["x-key"] ~= "k" then return 403 end end)\n'
    assert.equal(403, http.post(router.port, "/fixed", "x").status)
    assert.equal(201, http.post(router.port, "/fixed", "x", { ["X-Key"] = "k" }).status)
  end)

  it("has the headers of sse.cors", function()
    local router = start 'sse.cors "https://page.example"\n'
    local answer = http.post(router.port, "/fixed", "x", { Origin = "https://page.example" })
    assert.same({ 201, "https://page.example" }, { answer.status, answer.headers["access-control-allow-origin"] })
  end)
end)

describe("the limit of channels", function()
  after_each(server.stop_all)

  it("is told to publishers as 503, and those that are there go on", function()
    local router = support.start(nil, { database = false, args = { "--max-channels", "3" } })
    assert.equal(201, support.post(router, "a", "x").status)
    assert.equal(201, support.post(router, "b", "x").status)
    local answer = support.post(router, "c", "x")
    assert.equal(503, answer.status)
    assert.is_truthy(answer:json().error:find "limit of channels")
    assert.equal(201, support.post(router, "a", "x").status)
    assert.equal(0, support.stats(router).script_errors)
  end)
end)
