-- What handlers return, and what the client gets of it.

local http = require "spec.support.http"
local server = require "spec.support.server"

after_each(server.stop_all)

--- Starts a router with a route for each name; the values are the text of a `return`.
local function start(returns)
  local lines = { 'local sse = require "sse"' }
  for name, text in pairs(returns) do
    lines[#lines + 1] = ("sse.get(%q, function(req)\nreturn %s\nend)"):format("/" .. name, text)
  end
  return server.start(table.concat(lines, "\n"))
end

describe("a handler's result", function()
  it("becomes a body with its type", function()
    local router = start {
      text = '"hello"', empty = '""', bytes = '"a\\0b\\xff"', table = "{ a = 1 }", list = "{ 1, 2 }",
      none = "{}", array = "sse.array {}",
    }
    local function expect(path, body, content_type)
      local response = http.get(router.port, path)
      assert.same({ 200, body, content_type, tostring(#body) }, {
        response.status, response.body, response.headers["content-type"], response.headers["content-length"],
      })
    end
    local text, json = "text/plain; charset=utf-8", "application/json"
    expect("/text", "hello", text)
    expect("/empty", "", text)
    expect("/bytes", "a\0b\xff", text)
    expect("/table", '{"a":1}', json)
    expect("/list", "[1,2]", json)
    expect("/none", "{}", json)
    expect("/array", "[]", json)
  end)

  it("is a status alone, with a body and with headers", function()
    local router = start {
      created = '201, { id = 7 }, { Location = "/7" }', gone = "410", text = '418, "short and stout"',
      redirect = '302, nil, { Location = "/text" }', ok = "200", nothing = "", ["nil"] = "nil", unknown = "599",
    }
    local function get(path)
      local response = http.get(router.port, path)
      return response.status, response.body
    end
    local created = http.get(router.port, "/created")
    assert.same({ 201, '{"id":7}', "/7" }, { created.status, created.body, created.headers.location })
    assert.same({ 418, "short and stout" }, { get "/text" })
    assert.same({ 410, "410 Gone\n" }, { get "/gone" })
    local redirect = http.get(router.port, "/redirect")
    assert.same({ 302, "", "/text" }, { redirect.status, redirect.body, redirect.headers.location })
    assert.equal(200, http.get(router.port, "/ok").status)
    assert.equal(599, http.get(router.port, "/unknown").status)
    for _, path in ipairs { "/nothing", "/nil" } do
      local response = http.get(router.port, path)
      assert.same({ 204, "" }, { response.status, response.body })
      assert.is_nil(response.headers["content-length"])
      assert.is_nil(response.headers["content-type"])
    end
  end)

  it("sends no body where the status has none", function()
    local router = start { a = '204, "ignored"', b = '304, "ignored"' }
    for _, path in ipairs { "/a", "/b" } do
      local response = http.get(router.port, path)
      assert.equal("", response.body)
      assert.is_nil(response.headers["content-length"])
    end
  end)

  it("may set headers, also several of one name, and its own type", function()
    local router = start {
      headers = '200, "x", { ["content-type"] = "text/csv", ["Set-Cookie"] = { "a=1", "b=2" }, ["X-Count"] = 7 }',
    }
    local response = http.get(router.port, "/headers")
    assert.equal("text/csv", response.headers["content-type"])
    assert.equal("7", response.headers["x-count"])
    assert.truthy(response.headers["set-cookie"]:find("a=1", 1, true))
    assert.truthy(response.headers["set-cookie"]:find("b=2", 1, true))
  end)
end)

describe("a result that is none", function()
  it("gives 500, and the log names the handler's line", function()
    local cases = {
      boolean = { "true", "a handler's body must be a string or a table, got boolean" },
      no = { "false", "a handler's body must be a string or a table, got boolean" },
      fraction = { "1.5", "a handler's body must be a string or a table, got number" },
      ["function"] = { "print", "a handler's body must be a string or a table, got function" },
      userdata = { "io.stdout", "a handler's body must be a string or a table, got userdata" },
      informational = { "101", "a handler's status must be from 200 to 599, got 101" },
      high = { "600", "a handler's status must be from 200 to 599, got 600" },
      negative = { "-1", "a handler's status must be from 200 to 599, got -1" },
      body = { "200, 7", "a handler's body must be a string or a table, got number" },
      headers = { '200, "x", "y"', "a handler's headers must be a table, got string" },
      ["header-name"] = { '200, "x", { [1] = "y" }', "a header's name must be a string, got number" },
      ["header-value"] = {
        '200, "x", { a = true }', "header 'a' must be a string, a number or a list of them, got boolean",
      },
      ["header-list"] = {
        '200, "x", { a = { {} } }', "header 'a' must be a string, a number or a list of them, got table",
      },
      ["header-break"] = {
        '200, "x", { a = "b\\r\\nc: d" }', "header 'a' holds a byte that HTTP does not allow there",
      },
      ["header-break-name"] = { '200, "x", { ["a\\r\\nb"] = "c" }', "a header's name is empty or holds a byte" },
      ["header-framing"] = {
        '200, "x", { ["Content-Length"] = 5 }', "header 'Content-Length' is set by the router itself",
      },
      ["nil-message"] = { 'nil, "no such thing"', "a handler returned nil and \"no such thing\"" },
      nan = { "{ a = { b = 0/0 } }", "response.a.b: NaN cannot be sent as JSON" },
      ["json-function"] = { "{ print }", "response[1]: a function cannot be sent as JSON" },
      ["stream-behind-status"] = { "200, sse.stream(print)", "a stream must be a handler's only result" },
      ["channel-behind-status"] = { "200, sse.channel 'x'", "a stream must be a handler's only result" },
      ["stream-and-more"] = { "sse.channel 'x', 200", "a stream must be a handler's only result" },
    }
    local returns = {}
    for name, case in pairs(cases) do
      returns[name] = case[1]
    end
    local router = start(returns)
    for name, case in pairs(cases) do
      local response = http.get(router.port, "/" .. name)
      assert.same({ 500, "Internal Server Error\n" }, { response.status, response.body }, name)
      local line = router:wait_log("GET /" .. name:gsub("%-", "%%-") .. ": .*")
      assert.matches("script.lua:%d+: ", line)
      assert.truthy(line:find(case[2], 1, true), line)
    end
  end)

  it("does not let a later answer be lost", function()
    local router = start { bad = "true", good = '"good"' }
    local connection = http.connect(router.port)
    for _, path in ipairs { "/bad", "/good", "/bad", "/good" } do
      connection:request("GET", path)
    end
    local statuses = {}
    for index = 1, 4 do
      statuses[index] = connection:receive_response().status
    end
    assert.same({ 500, 200, 500, 200 }, statuses)
  end)
end)

describe("cross-origin access", function()
  it("is in every answer once the script allows it", function()
    local router = server.start [[
local sse = require "sse"
sse.cors "https://a.example"
sse.get("/", function() return "hello" end)
sse.get("/news", sse.channel "news")
sse.post("/", function() return 201 end)
]]
    local origin = { Origin = "https://a.example" }
    for _, path in ipairs { "/", "/nowhere" } do
      local response = http.get(router.port, path, origin)
      assert.equal("https://a.example", response.headers["access-control-allow-origin"], path)
    end
    assert.is_nil(http.get(router.port, "/", { Origin = "https://b.example" }).headers["access-control-allow-origin"])
    local preflight = http.request(router.port, "OPTIONS", "/",
      { Origin = "https://a.example", ["Access-Control-Request-Method"] = "POST" })
    assert.equal(204, preflight.status)
    assert.truthy(preflight.headers["access-control-allow-methods"]:find("POST", 1, true))
  end)
end)
