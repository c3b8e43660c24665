-- Routes and guards: which function answers, in which order, and what stops before it.

local eventsource = require "spec.support.eventsource"
local http = require "spec.support.http"
local server = require "spec.support.server"

describe("routes", function()
  local router

  setup(function()
    router = server.start [[
local sse = require "sse"
for _, method in ipairs { "get", "post", "put", "patch", "delete" } do
  sse[method]("/" .. method, function(req) return method .. " answers " .. req.method end)
end
sse.any("/any", function(req) return req.method end)
sse.get("/items/:id", function(req) return "item " .. req.params.id end)
sse.get("/items/new", function() return "a new item" end)
sse.get("/items/:id/parts/:part", function(req) return req.params.id .. " " .. req.params.part end)
sse.get("/files/*path", function(req) return "file " .. req.params.path end)
sse.get("/both", function() return "got" end)
sse.post("/both", function(req) return "posted " .. req.body end)
sse.get("/news", sse.channel "news")
sse.get("/latest", sse.subscribe { "news", history = 1 })
]]
  end)
  teardown(server.stop_all)

  local function ask(method, path, body)
    local response = http.request(router.port, method, path, nil, body)
    return response.status, response.body
  end

  it("answer their method alone", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      local path = "/" .. method:lower()
      assert.same({ 200, method:lower() .. " answers " .. method }, { ask(method, path) }, method)
      local other = method == "PUT" and "PATCH" or "PUT"
      local response = http.request(router.port, other, path)
      assert.equal(405, response.status)
      assert.truthy(response.headers.allow:find(method, 1, true))
      assert.is_nil(response.headers.allow:find(other, 1, true))
    end
  end)

  it("for any method answer all", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      assert.same({ 200, method }, { ask(method, "/any") })
    end
  end)

  it("may share a path", function()
    assert.same({ 200, "got" }, { ask("GET", "/both") })
    assert.same({ 200, "posted x" }, { ask("POST", "/both", "x") })
  end)

  it("take parameters, and literal ones go first", function()
    assert.same({ 200, "item 7" }, { ask("GET", "/items/7") })
    assert.same({ 200, "item a/b c" }, { ask("GET", "/items/a%2Fb%20c") })
    assert.same({ 200, "a new item" }, { ask("GET", "/items/new") })
    assert.same({ 200, "1 2" }, { ask("GET", "/items/1/parts/2") })
    assert.same({ 200, "file a/b/c" }, { ask("GET", "/files/a/b/c") })
    assert.equal(404, (ask("GET", "/items/1/parts")))
    assert.equal(404, (ask("GET", "/nowhere")))
  end)

  it("take a channel or a subscription for a handler", function()
    for _, path in ipairs { "/news", "/latest" } do
      local source = eventsource.open(router.port, path):wait_open()
      assert.equal("text/event-stream", source.head.headers["content-type"])
      source:close()
    end
  end)
end)

describe("a route's definition", function()
  after_each(server.stop_all)

  --- Expects that the second line of a script is refused with this message.
  local function expect_refused(line, message)
    local result = server.run { "--check", "-e", 'local sse = require "sse"\n' .. line }
    assert.equal(1, result.status, line)
    assert.truthy(result.stderr:find("(command line):2: " .. message, 1, true), result.stderr)
  end

  it("is checked, and the message names the script's line", function()
    expect_refused("sse.get()", 'sse.get: argument 1 (path) must be a string, got nil')
    expect_refused("sse.get(7, print)", 'sse.get: argument 1 (path) must be a string, got 7')
    expect_refused("sse.get '/'", "sse.get: a handler is missing behind the path")
    expect_refused("sse.post('/', nil)",
      "sse.post: the last argument must be a handler (a function) or a channel, got nil")
    expect_refused("sse.put('/', 'news')", "sse.put: the last argument must be a handler (a function) or a channel")
    expect_refused("sse.patch('/', {})",
      "sse.patch: the last argument must be a handler (a function) or a channel, got table")
    expect_refused("sse.delete('/', 1, print)", "sse.delete: argument 2 (guard) must be a function, got 1")
    expect_refused("sse.any('/', print, nil, print)", "sse.any: argument 3 (guard) must be a function, got nil")
    expect_refused("sse.any('/', nil, print)", "sse.any: argument 2 (guard) must be a function, got nil")
    expect_refused("sse.use(print, {})", "sse.use: argument 2 (guard) must be a function, got table")
    expect_refused("sse.use()", "sse.use: argument 1 (guard) must be a function, got nil")
    expect_refused("sse.use(nil)", "sse.use: argument 1 (guard) must be a function, got nil")
  end)

  it("has a path of a known shape", function()
    for path, message in pairs {
      ["items"] = "must begin with '/'",
      ["/a?b"] = "has no query",
      ["/a/:"] = "needs a name",
      ["/:a/:a"] = "twice",
      ["/*rest/x"] = "must come last",
      ["/%20"] = "written decoded",
      [""] = "must begin with '/'",
      ["/a#b"] = "has no query",
      ["/*"] = "needs a name",
      ["/:a-b"] = "needs a name",
      ["/:1"] = "needs a name",
      ["/:a/*a"] = "the name 'a' is there twice",
    } do
      local result = server.run { "--check", "-e", ('local sse = require "sse"\nsse.get(%q, print)'):format(path) }
      assert.equal(1, result.status, path)
      assert.matches("%(command line%):2: route '.*" .. message, result.stderr)
    end
  end)

  it("is listed by --check, sorted", function()
    local result = server.run { "--check", "-e", [[local sse = require "sse"
for _, line in ipairs { "post /b", "get /b", "get /a/:x", "any /a" } do
  local method, path = line:match "(%S+) (%S+)"
  sse[method](path, print)
end]] }
    assert.equal(0, result.status)
    local lines = {}
    for method, path in result.stdout:gmatch "\n  (%u+) +(/%S*) " do
      lines[#lines + 1] = method .. " " .. path
    end
    assert.same({ "ANY /a", "GET /a/:x", "GET /b", "POST /b" }, lines)
  end)

  it("comes once, and the message names the other", function()
    local result = server.run { "--check", "-e", [[local sse = require "sse"
sse.get("/a/:b", print)
sse.get("/a/:c", print)]] }
    assert.equal(1, result.status)
    assert.matches("%(command line%):3: .*%(command line%):2", result.stderr)
  end)

  it("may come while the router runs", function()
    local router = server.start [[
local sse = require "sse"
sse.post("/add", function() sse.get("/added", function() return "added" end) end)
]]
    assert.equal(404, http.get(router.port, "/added").status)
    assert.equal(204, http.post(router.port, "/add").status)
    assert.equal("added", http.get(router.port, "/added").body)
    assert.equal(500, http.post(router.port, "/add").status)
  end)
end)

describe("guards", function()
  local router

  setup(function()
    router = server.start [[
local sse = require "sse"
local calls = {}
local function note(name, result)
  return function(req)
    table.insert(calls, name)
    if req.query.stop == name then return result or (name .. " says no") end
  end
end
sse.get("/before", function() return "free" end)
sse.use(note "common1", note "common2")
sse.get("/calls", function()
  local list = table.concat(calls, " ")
  calls = {}
  return list
end)
sse.get("/guarded", note "first", note "second", function() table.insert(calls, "handler") return "in" end)
sse.use(note "late")
sse.get("/late", note "first", function() table.insert(calls, "handler") return "in" end)
sse.get("/status", function() return 401 end, function() return "in" end)
sse.get("/whole", function() return 403, { error = "no" }, { ["X-Why"] = "because" } end, function() return "in" end)
sse.get("/false", function() return false end, function() return "in" end)
sse.get("/nothing", function() end, function() return "in" end)
sse.get("/nil", function() return nil end, function() return "in" end)
sse.get("/nil-message", function() return nil, "not allowed" end, function() return "in" end)
sse.get("/raises", function() error "guard failed" end, function() return "in" end)
sse.get("/raises-nil", function() error() end, function() return "in" end)
sse.get("/yields", function() coroutine.yield() end, function() return "in" end)
sse.get("/waits", function() sse.sleep "20ms" end, function() return "in" end)
sse.get("/stream", function() return sse.channel "guarded" end, function() return "in" end)
sse.get("/marks", function(req) req.user = "ada" end, function(req) return req.user end)
sse.get("/feed", function(req) if not req.query.token then return 401 end end, sse.channel "feed")
]]
  end)
  teardown(server.stop_all)

  local function get(path)
    local response = http.get(router.port, path)
    return response.status, response.body
  end

  local function forget_calls()
    get "/calls"
  end

  before_each(forget_calls)

  local function calls_of(path)
    get(path)
    local _, list = get "/calls"
    return (list:gsub(" ?common1 common2$", ""))
  end

  it("run in order, those of sse.use first, for routes that are defined later", function()
    assert.equal("common1 common2 first second handler", calls_of "/guarded")
    assert.equal("common1 common2 late first handler", calls_of "/late")
    assert.same({ 200, "free" }, { get "/before?stop=common1" })
  end)

  it("end the request when they return something", function()
    assert.same({ 200, "second says no" }, { get "/guarded?stop=second" })
    forget_calls()
    assert.equal("common1 common2 first second", calls_of "/guarded?stop=second")
    assert.equal("common1 common2 first", calls_of "/guarded?stop=first")
    assert.equal("common1 common2", calls_of "/guarded?stop=common2")
    assert.equal("common1", calls_of "/guarded?stop=common1")
  end)

  it("let pass when they return nothing", function()
    assert.same({ 200, "in" }, { get "/nothing" })
    assert.same({ 200, "in" }, { get "/nil" })
    assert.same({ 200, "in" }, { get "/waits" })
  end)

  it("answer with what a handler could", function()
    assert.equal(401, (get "/status"))
    local response = http.get(router.port, "/whole")
    assert.same({ 403, "because" }, { response.status, response.headers["x-why"] })
    assert.same({ error = "no" }, response:json())
    local source = eventsource.open(router.port, "/stream"):wait_open()
    source:close()
  end)

  it("deny when they fail", function()
    for _, path in ipairs { "/raises", "/raises-nil", "/yields", "/false", "/nil-message" } do
      local status, body = get(path)
      assert.equal(500, status, path)
      assert.equal("Internal Server Error\n", body)
    end
    router:wait_log "GET /raises: %S*script.lua:%d+: guard failed"
    router:wait_log "GET /nil%-message: .*not allowed"
  end)

  it("may leave something for the handler", function()
    assert.same({ 200, "ada" }, { get "/marks" })
  end)

  it("stand before channels too", function()
    assert.equal(401, (get "/feed"))
    eventsource.open(router.port, "/feed?token=x"):wait_open():close()
  end)
end)
