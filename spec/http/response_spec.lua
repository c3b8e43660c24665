-- What every answer has, and what no answer can be made to have.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

describe("an answer", function()
  it("has the date", function()
    local router = support.start()
    local before = os.time()
    local headers = { http.get(router.port, "/ok").headers, http.get(router.port, "/nothing").headers }
    headers[3] = support.replies(router.port, "GET / HTTP/1.1\r\n\r\n")[1].headers
    headers[4] = http.get(router.port, "/short").headers
    for _, each in ipairs(headers) do
      local expected = {}
      for time = before, os.time() do
        expected[os.date("!%a, %d %b %Y %H:%M:%S GMT", time)] = true
      end
      assert.is_true(expected[each.date], each.date)
    end
  end)

  it("has each header once", function()
    local router = support.start()
    for _, path in ipairs { "/ok", "/json", "/files/script.lua", "/nothing", "/short" } do
      local seen = {}
      for _, header in ipairs(http.get(router.port, path).list) do
        local name = header[1]:lower()
        assert.is_nil(seen[name], name)
        seen[name] = true
      end
    end
  end)

  it("has the headers of the handler, a list of them one by one", function()
    local router = support.start { script = [[
      local sse = require "sse"
      sse.get("/", function()
        return 200, "x", { ["X-Text"] = "a\tb \u{20AC}", ["X-Number"] = 5, ["Set-Cookie"] = { "a=1", "b=2" },
          ["content-type"] = "text/html" }
      end)
    ]] }
    local response = http.get(router.port, "/")
    assert.equal("a\tb \u{20AC}", response.headers["x-text"])
    assert.equal("5", response.headers["x-number"])
    assert.equal("text/html", response.headers["content-type"])
    local cookies = {}
    for _, header in ipairs(response.list) do
      cookies[#cookies + 1] = header[1] == "Set-Cookie" and header[2] or nil
    end
    assert.same({ "a=1", "b=2" }, cookies)
  end)

  it("may have a status that is not well known", function()
    local router = support.start { script = [[
      local sse = require "sse"
      sse.get("/:status", function(req) return math.tointeger(req.params.status), "body" end)
    ]] }
    for _, status in ipairs { 200, 299, 404, 418, 599 } do
      assert.equal(status, http.get(router.port, "/" .. status).status)
    end
    for _, status in ipairs { 204, 304 } do
      local response = http.get(router.port, "/" .. status)
      assert.same({ status, "", nil }, { response.status, response.body, response.headers["content-length"] })
    end
    local reset = http.get(router.port, "/205")
    assert.same({ 205, "", "0" }, { reset.status, reset.body, reset.headers["content-length"] })
    for _, status in ipairs { 0, 100, 101, 199, 600, -1 } do
      assert.equal(500, http.get(router.port, "/" .. status).status)
    end
  end)
end)

describe("a response cannot be split", function()
  local SCRIPT = [[
    local sse = require "sse"
    local function header(name, value)
      return function() return 200, "body", { [name] = value } end
    end
    local bad = { "a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\0b", "a\27b", "a\127" }
    for index, text in ipairs(bad) do
      sse.get("/value/" .. index, header("X-Good", text))
      sse.get("/name/" .. index, header(text, "x"))
      sse.get("/list/" .. index, header("X-Good", { "fine", text }))
    end
    for index, name in ipairs { "", "a b", "a:b", "a\u{e9}", "(a)" } do
      sse.get("/odd/" .. index, header(name, "x"))
    end
    for index, name in ipairs { "Content-Length", "transfer-encoding", "Connection", "DATE", "Upgrade" } do
      sse.get("/own/" .. index, header(name, "1"))
    end
    for index, value in ipairs { true, { true }, { {} } } do
      sse.get("/type/" .. index, header("X-Good", value))
    end
    sse.get("/echo", function(req) return 200, "body", { ["X-Echo"] = req.query.text } end)
    sse.get("/redirect", function(req) return 302, nil, { Location = req.query.to } end)
  ]]

  it("by a header", function()
    local router = support.start { script = SCRIPT }
    for group, count in pairs { value = 6, name = 6, list = 6, odd = 5, own = 5, type = 3 } do
      for index = 1, count do
        local path = ("/%s/%d"):format(group, index)
        local connection = http.connect(router.port)
        connection:request("GET", path)
        local response = connection:receive_response()
        assert.equal(500, response.status, path)
        assert.is_nil(response.headers["x-evil"])
        assert.equal("Internal Server Error\n", response.body)
        assert.equal("", connection:unread())
        connection:close()
      end
    end
    router:wait_log "GET /value/1.*header 'X%-Good' holds a byte that HTTP does not allow"
    router:wait_log "GET /own/1.*header 'Content%-Length' is set by the router itself"
  end)

  it("by what a client sends", function()
    local router = support.start { script = SCRIPT }
    for _, text in ipairs { "a%0d%0aX-Evil:%201", "a%0aX-Evil:1", "%0d%0a%0d%0a<script>", "a%00" } do
      local connection = http.connect(router.port)
      connection:send("GET /echo?text=" .. text .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      connection:send("GET /redirect?to=" .. text .. " HTTP/1.1\r\nHost: a\r\n\r\n")
      connection:shutdown()
      support.expect_end(connection)
      local responses = support.responses(connection)
      assert.same({ 500, 500 }, support.statuses_of(responses))
      assert.is_nil(responses[1].headers["x-evil"])
    end
    assert.equal("plain", http.get(router.port, "/echo?text=plain").headers["x-echo"])
  end)
end)
