-- Cross-origin access as browsers ask for it: simple requests, preflights, streams, errors.

local http = require "spec.support.http"
local server = require "spec.support.server"
local support = require "spec.http.support"

after_each(server.stop_all)

local ROUTES = [[
sse.get("/ok", function() return "ok" end)
sse.post("/ok", function() return 204 end)
sse.get("/news", sse.channel "news")
sse.static("/files", ".")
sse.get("/fails", function() error "no luck" end)
sse.get("/fails-late", function() sse.sleep(0.01) error "no luck" end)
sse.get("/guarded", function() error "no luck" end, function() return "never" end)
sse.get("/bad-header", function() return 200, "", { Vary = "a\nb" } end)
sse.get("/forever", function() while true do end end)
]]

local function start(cors, args)
  return support.start { script = 'local sse = require "sse"\n' .. cors .. "\n" .. ROUTES, args = args }
end

local function preflight(router, path, headers)
  headers.Origin = headers.Origin or "https://page.example"
  headers["Access-Control-Request-Method"] = headers["Access-Control-Request-Method"] or "POST"
  return http.request(router.port, "OPTIONS", path, headers)
end

local function origin_of(router, path, origin)
  local connection = http.connect(router.port)
  connection:request("HEAD", path, { Origin = origin })
  local headers = connection:receive_response({ method = "HEAD" }).headers
  connection:close()
  return headers["access-control-allow-origin"], headers.vary
end

describe("without sse.cors", function()
  it("no answer lets other origins in", function()
    local router = start ""
    for _, path in ipairs { "/ok", "/news", "/files/script.lua", "/nothing" } do
      assert.is_nil(origin_of(router, path, "https://page.example"))
    end
    local response = preflight(router, "/ok", {})
    assert.equal(204, response.status)
    assert.is_nil(response.headers["access-control-allow-methods"])
  end)
end)

describe("sse.cors \"*\"", function()
  it("lets every origin read every answer, errors too", function()
    local router = start 'sse.cors "*"'
    for _, path in ipairs { "/ok", "/news", "/files/script.lua", "/nothing" } do
      local origin, vary = origin_of(router, path, "https://page.example")
      assert.same({ "*", nil }, { origin, vary }, path)
    end
    local response = http.request(router.port, "DELETE", "/ok", { Origin = "https://page.example" })
    assert.same({ 405, "*" }, { response.status, response.headers["access-control-allow-origin"] })
  end)

  it("lets pages read that the script failed, too", function()
    local router = start('sse.cors "*"', { "--budget", "1s" })
    for _, path in ipairs { "/fails", "/fails-late", "/guarded", "/bad-header", "/forever" } do
      local response = http.get(router.port, path, { Origin = "https://page.example" })
      assert.same({ 500, "*", "no-store", "Internal Server Error\n" }, {
        response.status, response.headers["access-control-allow-origin"], response.headers["cache-control"],
        response.body,
      }, path)
    end
    local connection = http.connect(router.port)
    connection:request("HEAD", "/fails", { Origin = "https://page.example" })
    local response = connection:receive_response { method = "HEAD" }
    assert.same({ 500, "*" }, { response.status, response.headers["access-control-allow-origin"] })
    connection:request("GET", "/ok")
    assert.equal(200, connection:receive_response().status)
    connection:close()
  end)

  it("answers a preflight with the methods of the path", function()
    local router = start 'sse.cors "*"'
    local response = preflight(router, "/ok", { ["Access-Control-Request-Headers"] = "content-type" })
    assert.equal(204, response.status)
    assert.equal("*", response.headers["access-control-allow-origin"])
    assert.equal("GET, HEAD, OPTIONS, POST", response.headers["access-control-allow-methods"])
    assert.matches("Content%-Type", response.headers["access-control-allow-headers"])
    assert.matches("Last%-Event%-ID", response.headers["access-control-allow-headers"])
    assert.equal("3600", response.headers["access-control-max-age"])
  end)

  it("keeps the connection behind a preflight", function()
    local router = start 'sse.cors "*"'
    local connection = http.connect(router.port)
    local headers = { Origin = "https://page.example", ["Access-Control-Request-Method"] = "POST" }
    connection:request("OPTIONS", "/ok", headers)
    assert.equal(204, connection:receive_response().status)
    connection:request("POST", "/ok", headers, "x")
    assert.equal(204, connection:receive_response().status)
    connection:close()
  end)
end)

describe("sse.cors with origins", function()
  local CORS = [[sse.cors { origins = { "https://page.example", "https://*.wild.example" }, credentials = true,
    headers = { "X-One" }, expose = { "X-Two" }, max_age = "10m" }]]

  it("lets those in, by name, and says that answers vary", function()
    local router = start(CORS)
    for origin, allowed in pairs {
      ["https://page.example"] = true,
      ["https://a.wild.example"] = true,
      ["https://a.b.wild.example"] = true,
      ["https://wild.example"] = false,
      ["https://other.example"] = false,
      ["http://page.example"] = false,
      ["https://page.example.evil.example"] = false,
      ["https://evil-page.example"] = false,
      ["null"] = false,
    } do
      for _, path in ipairs { "/ok", "/news", "/nothing", "/fails" } do
        local got, vary = origin_of(router, path, origin)
        assert.same({ allowed and origin or nil, "Origin" }, { got, vary }, origin)
      end
    end
    local headers = http.get(router.port, "/ok", { Origin = "https://page.example" }).headers
    assert.equal("true", headers["access-control-allow-credentials"])
    assert.equal("X-Two", headers["access-control-expose-headers"])
    assert.equal("Origin", http.get(router.port, "/ok").headers.vary)
  end)

  it("goes with the handler's own headers, however they are written", function()
    local router = start(CORS .. [[
      sse.get("/vary", function() return 200, "", { vary = "Accept" } end)
      sse.get("/varies", function() return 200, "", { Vary = { "Accept", "Cookie" } } end)
      sse.get("/open", function() return 200, "", { ["access-control-allow-origin"] = "https://own.example" } end)
    ]])
    local function values(path, name)
      local found = {}
      for _, header in ipairs(http.get(router.port, path, { Origin = "https://page.example" }).list) do
        found[#found + 1] = header[1]:lower() == name and header[2] or nil
      end
      return found
    end
    assert.same({ "Origin, Accept" }, values("/vary", "vary"))
    assert.same({ "Origin, Accept, Cookie" }, values("/varies", "vary"))
    assert.same({ "https://own.example" }, values("/open", "access-control-allow-origin"))
    assert.same({ "Origin" }, values("/open", "vary"))
  end)

  it("answers their preflights and nobody else's", function()
    local router = start(CORS)
    local headers = preflight(router, "/ok", {}).headers
    assert.same({ "https://page.example", "true", "X-One", "600" }, {
      headers["access-control-allow-origin"], headers["access-control-allow-credentials"],
      headers["access-control-allow-headers"], headers["access-control-max-age"],
    })
    local response = preflight(router, "/ok", { Origin = "https://other.example" })
    assert.same({ 204, nil, nil }, { response.status, response.headers["access-control-allow-origin"],
      response.headers["access-control-allow-methods"] })
  end)
end)

describe("sse.cors with a function", function()
  it("asks it, and lets nobody in when it fails", function()
    local router = start [[sse.cors { origins = function(origin)
      return origin == "https://page.example" or origin:match "fail" and error "no answer"
    end }]]
    for _, path in ipairs { "/ok", "/news", "/fails" } do
      assert.equal("https://page.example", (origin_of(router, path, "https://page.example")))
      assert.is_nil((origin_of(router, path, "https://other.example")))
    end
    for _, path in ipairs { "/ok", "/news", "/fails" } do
      local response = http.get(router.port, path, { Origin = "https://fail.example" })
      assert.same({ 500, nil, "Internal Server Error\n" }, {
        response.status, response.headers["access-control-allow-origin"], response.body,
      })
    end
    router:wait_log "no answer"
  end)
end)
