-- What handlers see of a request.

local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

describe("a request", function()
  local router

  setup(function()
    router = server.start [[
local sse = require "sse"
sse.any("/show/:name", function(req)
  return {
    method = req.method, path = req.path, params = req.params, query = req.query, query_all = req.query_all,
    headers = req.headers, cookies = req.cookies, body = req.body, ip = req.ip, last_event_id = req.last_event_id,
  }
end)
sse.any("/field/:name", function(req) return { value = req[req.params.name] } end)
sse.post("/json", function(req)
  local value, message = req:json()
  if value == nil then return 400, { message = message } end
  return { value = value, kind = math.type(value) or type(value) }
end)
sse.post("/form", function(req)
  local first, all = req:form()
  return { first = first, all = all }
end)
sse.get("/keep", function(req)
  req.mine = "kept"
  local query = req.query
  return { mine = req.mine, same = query == req.query, unknown = req.unknown == nil }
end)
local kept
sse.get("/remember", function(req) kept = req end)
sse.post("/recall", function() collectgarbage() return { path = kept.path, query = kept.query, body = kept.body } end)
]]
  end)
  teardown(server.stop_all)

  local function show(method, path, headers, body)
    return http.request(router.port, method, path, headers, body):json()
  end

  it("has a method, a path and parameters", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      local seen = show(method, "/show/x")
      assert.same({ method, "/show/x", "x" }, { seen.method, seen.path, seen.params.name })
    end
    local seen = show("GET", "/show/a%20b%2Fc%C3%A4?x=/y")
    assert.equal("a b/cä", seen.params.name)
    assert.equal("/show/a b/cä", seen.path)
  end)

  it("has a query, of repeated keys the first, and all of them", function()
    local seen = show("GET", "/show/x?a=1&b=two+words&a=2&c&d=%26%3D&%C3%A4=%F0%9F%90%98&=x&a=")
    assert.same({ a = "1", b = "two words", c = "", d = "&=", ["ä"] = "🐘", [""] = "x" }, seen.query)
    assert.same({ "1", "2", "" }, seen.query_all.a)
    assert.same({ "two words" }, seen.query_all.b)
    local none = show("GET", "/show/x")
    assert.same({ {}, {} }, { none.query, none.query_all })
  end)

  it("keeps a malformed escape as it is", function()
    assert.equal("100%", show("GET", "/show/x?a=100%").query.a)
    assert.equal("%zz", show("GET", "/show/x?a=%zz").query.a)
  end)

  it("has headers in lower case, repeated ones joined", function()
    local seen = show("GET", "/show/x", {
      { "X-One", "1" }, { "x-ONE", "2" }, { "X-Empty", "" }, { "Cookie", "a=1" }, { "Cookie", "b=2" },
    })
    assert.equal("1, 2", seen.headers["x-one"])
    assert.equal("", seen.headers["x-empty"])
    assert.equal("a=1; b=2", seen.headers.cookie)
    assert.truthy(seen.headers.host)
    assert.is_nil(seen.headers["X-One"])
  end)

  it("has cookies", function()
    local cookies = show("GET", "/show/x", { Cookie = 'a=1; b="two"; c=x=y; d=; a=other;e=5' }).cookies
    assert.same({ a = "1", b = "two", c = "x=y", d = "", e = "5" }, cookies)
    assert.same({}, show("GET", "/show/x").cookies)
  end)

  it("has a body of any bytes, up to its limit", function()
    assert.equal("", show("GET", "/show/x").body)
    assert.equal("hello", show("POST", "/show/x", nil, "hello").body)
    local large = ("0123456789"):rep(100000)
    assert.equal(large, show("POST", "/show/x", nil, large).body)
    assert.equal(413, http.post(router.port, "/show/x", large .. ("x"):rep(50000)).status)
  end)

  it("has an address", function()
    assert.equal("127.0.0.1", show("GET", "/show/x").ip)
  end)

  it("has the last event's id, of the header before the query", function()
    assert.is_nil(show("GET", "/show/x").last_event_id)
    assert.equal("7", show("GET", "/show/x", { ["Last-Event-ID"] = "7" }).last_event_id)
    assert.equal("8", show("GET", "/show/x?last_event_id=8").last_event_id)
    assert.equal("9", show("GET", "/show/x?lastEventId=9").last_event_id)
    assert.equal("7", show("GET", "/show/x?last_event_id=8", { ["Last-Event-ID"] = "7" }).last_event_id)
    assert.equal("8", show("GET", "/show/x?last_event_id=8", { ["Last-Event-ID"] = "" }).last_event_id)
    assert.is_nil(show("GET", "/show/x?last_event_id=").last_event_id)
  end)

  it("may be asked for one field alone", function()
    for _, name in ipairs { "method", "path", "ip", "body" } do
      assert.equal("string", type(show("GET", "/field/" .. name).value), name)
    end
    for _, name in ipairs { "params", "query", "query_all", "headers", "cookies" } do
      assert.equal("table", type(show("GET", "/field/" .. name).value), name)
    end
  end)

  it("keeps what the script puts there", function()
    assert.same({ mine = "kept", same = true, unknown = true }, http.get(router.port, "/keep"):json())
  end)

  it("may be looked at when it is long over", function()
    http.get(router.port, "/remember?a=b")
    assert.same({ path = "/remember", query = { a = "b" }, body = "" }, http.post(router.port, "/recall"):json())
  end)

  describe("with JSON", function()
    local function json(body)
      local response = http.post(router.port, "/json", body)
      return response.status, response:json()
    end

    it("gives its value", function()
      local _, answer = json '{"a":[1,2.5,"x",true]}'
      assert.same({ a = { 1, 2.5, "x", true } }, answer.value)
      assert.same({ 5, "integer" }, { select(2, json "5").value, select(2, json "5").kind })
      assert.equal("float", select(2, json "5.0").kind)
      assert.equal("string", select(2, json '"x"').kind)
    end)

    it("gives nil and a message when it is not valid", function()
      for _, body in ipairs { "", "{", "{'a':1}", "[1,]", "nul", "1 2", '{"a":1}x', "\xff", '"\\ud800"x' } do
        local status, answer = json(body)
        assert.equal(400, status, body)
        assert.matches("line 1", answer.message)
      end
    end)
  end)

  it("gives a form's fields", function()
    local answer = http.post(router.port, "/form", "a=1&b=x+y%21&a=2"):json()
    assert.same({ a = "1", b = "x y!" }, answer.first)
    assert.same({ "1", "2" }, answer.all.a)
    assert.same({}, http.post(router.port, "/form"):json().first)
  end)
end)

describe("long fields of a request", function()
  after_each(server.stop_all)

  it("cost little, whatever they hold", function()
    local router = server.start([[
local sse = require "sse"
sse.cors { origins = { "https://a.example", "https://*.b.example" }, credentials = true }
sse.static("/files", ".")
sse.get("/all", function(req)
  pcall(sse.sleep, req.query.a)
  pcall(sse.channel, "x", { max_bytes = req.query.a })
  return { cookies = req.cookies, query = req.query, split = sse.split(req.query.a), last = req.last_event_id }
end)
sse.post("/json", function(req) return type(req:json()) end)
sse.post("/form", function(req) return type(req:form()) end)
sse.get("/token", sse.auth.token { secret = "secret" }, function() return "in" end)
sse.get("/news", sse.channel "news")
]], { args = { "--budget", math.ceil(loop.limit(0.1) * 1000) .. "ms" } })
    local headers = {
      "Cookie", "Authorization", "Origin", "Range", "If-None-Match", "If-Modified-Since", "Accept", "Last-Event-ID",
      "Access-Control-Request-Headers",
    }
    local fillers = { " ", "a", "=", ";", ",", '"', "a=", "a b", ", ", "\\", "%", "-", "1", "a;", "W/", ":", "0-," }
    for _, filler in ipairs(fillers) do
      local long = "a=" .. filler:rep(15000 // #filler) .. "a"
      for _, path in ipairs { "/all", "/files/script.lua", "/token", "/news" } do
        for _, header in ipairs(headers) do
          local value = header == "Authorization" and "Bearer " .. long:sub(3) or long
          local status = http.request(router.port, "HEAD", path, { [header] = value }).status
          assert.is_true(status < 500, ("%s %s: %q"):format(path, header, filler))
        end
      end
      local escaped = long:gsub("[^%w=-]", function(char)
        return char == " " and "+" or ("%%%02X"):format(char:byte())
      end)
      assert.is_true(http.get(router.port, "/all?" .. escaped:sub(1, 15000)).status < 500, router:log())
      local body = filler:rep(200000 // #filler)
      for _, path in ipairs { "/json", "/form" } do
        assert.is_true(http.post(router.port, path, body).status < 500, router:log())
      end
    end
    assert.not_matches("budget", router:log())
  end)
end)
