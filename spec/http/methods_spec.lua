-- Methods and targets: HEAD and OPTIONS for every GET route, 404, 405 with Allow, the forms of a target.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

local router

setup(function()
  router = support.start()
end)
teardown(server.stop_all)

-- A path of each kind of GET route.
local ROUTES = { "/ok", "/empty", "/json", "/hello/you", "/news", "/own", "/short", "/files/script.lua", "/any" }

--- The head of the answer to GET, with no wait for a body that does not end.
local function head_of_get(path)
  local connection = http.connect(router.port)
  connection:request("GET", path)
  connection:wait_bytes(1)
  local other = http.connect(router.port)
  support.let_read(other)
  local text = connection:unread()
  local head = require("spec.support.http_decoder").parse_head(text:sub(1, text:find("\r\n\r\n", 1, true) - 1))
  connection:close()
  other:close()
  return head
end

local function comparable(headers)
  local copy = {}
  for name, value in pairs(headers) do
    copy[name] = value
  end
  copy.date, copy["transfer-encoding"] = nil, nil
  return copy
end

describe("HEAD", function()
  it("has the head of GET and no body, for every kind of route", function()
    for _, path in ipairs(ROUTES) do
      local connection = http.connect(router.port)
      connection:request("HEAD", path)
      local response = connection:receive_response { method = "HEAD" }
      local get = head_of_get(path)
      assert.equal(get.status, response.status, path)
      if path ~= "/any" then
        assert.same(comparable(get.headers), comparable(response.headers), path)
      end
      connection:request("GET", "/ok")
      assert.equal("ok\n", connection:receive_response().body, "behind HEAD " .. path)
      connection:close()
    end
  end)

  it("opens no stream", function()
    local connection = http.connect(router.port)
    connection:request("HEAD", "/news")
    assert.equal("text/event-stream", connection:receive_response({ method = "HEAD" }).headers["content-type"])
    assert.equal(0, http.post(router.port, "/news", "x"):json().subscribers)
    connection:close()
  end)

  it("has no body either where it is refused", function()
    for status, fault in pairs {
      [413] = "Host: x\r\nContent-Length: 99999999\r\n\r\n",
      [417] = "Host: x\r\nExpect: more\r\n\r\n",
      [400] = "Host: x\r\nHost: x\r\n\r\n",
    } do
      local connection = http.connect(router.port)
      connection:send("HEAD /ok HTTP/1.1\r\n" .. fault)
      connection:wait_closed()
      local answer = connection:unread()
      assert.matches("^HTTP/1.1 " .. status .. " [^\n]*\r\n.*\r\nContent%-Length: [1-9].*\r\n\r\n$", answer)
    end
  end)

  it("is as GET where there is nothing", function()
    assert.equal(404, http.request(router.port, "HEAD", "/nothing").status)
    assert.equal(405, http.request(router.port, "HEAD", "/echo").status)
  end)
end)

describe("OPTIONS", function()
  it("names the methods of every kind of route", function()
    for _, path in ipairs(ROUTES) do
      local response = http.request(router.port, "OPTIONS", path)
      if path == "/any" then
        assert.same({ 200, "OPTIONS " }, { response.status, response.body })
      else
        assert.equal(204, response.status, path)
        local allow = path == "/news" and "GET, HEAD, OPTIONS, POST" or "GET, HEAD, OPTIONS"
        assert.equal(allow, response.headers.allow, path)
        assert.is_nil(response.headers["content-length"])
      end
    end
    assert.equal("OPTIONS, POST", http.request(router.port, "OPTIONS", "/echo").headers.allow)
  end)

  it("* asks about the router as a whole", function()
    local response = http.request(router.port, "OPTIONS", "*")
    assert.same({ 204, "" }, { response.status, response.body })
  end)

  it("is 404 where there is nothing", function()
    assert.equal(404, http.request(router.port, "OPTIONS", "/nothing").status)
  end)
end)

describe("a path", function()
  it("without a route is 404 for every method", function()
    for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND" } do
      local response = http.request(router.port, method, "/nothing")
      assert.equal(404, response.status, method)
      assert.is_nil(response.headers.connection)
    end
    for _, path in ipairs { "/", "/ok/", "/OK", "//ok", "/hello/", "/hello/a/b", "/ok/../ok", "/files", "/%2Fok" } do
      local status = http.get(router.port, path).status
      assert.equal(path == "/files" and 301 or 404, status, path)
    end
  end)

  it("with a route, but not for this method, is 405 and says for which", function()
    local function check(method, path, allow)
      local response = http.request(router.port, method, path)
      assert.same({ 405, allow }, { response.status, response.headers.allow })
    end
    check("POST", "/ok", "GET, HEAD, OPTIONS")
    check("DELETE", "/news", "GET, HEAD, OPTIONS, POST")
    check("PUT", "/short", "GET, HEAD, OPTIONS")
    check("GET", "/echo", "OPTIONS, POST")
    check("POST", "/files/script.lua", "GET, HEAD, OPTIONS")
    check("TRACE", "/hello/you", "GET, HEAD, OPTIONS")
  end)

  it("is compared decoded", function()
    assert.equal(200, http.get(router.port, "/%6Fk").status)
    assert.equal("hello a/b c", http.get(router.port, "/hello/a%2fb%20c").body)
    assert.equal("hello \u{e9}", http.get(router.port, "/hello/%C3%A9").body)
    assert.equal("hello \u{e9}", http.get(router.port, "/hello/\u{e9}").body)
  end)

  it("that is wrongly encoded is 400, and the connection is kept", function()
    local connection = http.connect(router.port)
    for _, path in ipairs { "/%", "/%1", "/%zz", "/ok%0", "/hello/%00", "/hello/a%", "/%%41" } do
      connection:request("GET", path)
      assert.equal(400, connection:receive_response().status, path)
    end
    connection:close()
  end)
end)

describe("a target", function()
  local function request(target)
    return http.get(router.port, target):json()
  end

  it("has a path and a query", function()
    assert.same({ a = "b c", d = "" }, request("/request?a=b+c&d").query)
    assert.same({ a = "?#/" }, request("/request?a=%3f%23/").query)
    assert.same({ a = "?" }, request("/request?a=?").query)
    assert.same({}, request("/request?").query)
  end)

  it("may be absolute, as proxies write it", function()
    assert.equal("/request", request("http://example.org/request").path)
    assert.equal("/request", request("http://example.org:80/request?a=b").path)
    assert.same({ a = "b" }, request("http://example.org/request?a=b").query)
    assert.equal("/request", request("HTTPS://example.org/request").path)
    assert.equal(404, http.get(router.port, "http://example.org").status)
    assert.equal(404, http.get(router.port, "http://example.org?a=b").status)
  end)

  it("that is none of these is 400", function()
    for _, target in ipairs { "ok", "http:///ok", "http://", "ftp://a/ok", "example.org:443", "?a", "**", "*?" } do
      local connection = http.connect(router.port)
      connection:request("GET", target)
      assert.equal(400, connection:receive_response().status, target)
      connection:close()
    end
  end)

  it("of * is for OPTIONS alone", function()
    assert.equal(404, http.get(router.port, "*").status)
  end)
end)
