-- The table of routes, as the library uses it inside of the real router: one endpoint makes a table and asks it.

local http = require "spec.support.http"
local seed = require "spec.support.seed"
local server = require "spec.support.server"

local script = [[
local sse = require "sse"
local router = require "sse.router"

sse.post("/match", function(req)
  local asked, made, answers = req:json(), router.new(), {}
  for _, line in ipairs(asked.routes) do
    local method, pattern = line:match "^(%S+) (.+)$"
    made:add(method, pattern, { line = line })
  end
  for index, question in ipairs(asked.questions) do
    local route, params, allow = made:match(question[1], question[2])
    answers[index] = { route = route and route.line, params = route and params, status = not route and params or nil,
      allow = allow }
  end
  return sse.array(answers)
end)
]]

local running

--- A table of routes for lines "METHOD PATTERN"; each line is its own route.
local function routes(...)
  running = running or server.start(script)
  local lines, made = { ... }, {}

  --- The answers to many questions { method, path }: { route =, params = } or { status =, allow = }.
  function made.ask(questions)
    return http.post(running.port, "/match", { routes = lines, questions = questions }):json()
  end

  function made.match(_, method, path)
    local answer = made.ask({ { method, path } })[1]
    if answer.route then
      return answer.route, answer.params
    end
    return nil, answer.status, answer.allow
  end

  return made
end

after_each(function()
  running = nil
  server.stop_all()
end)

describe("router:match", function()
  it("finds literals and parameters", function()
    local made = routes("GET /", "GET /news", "GET /stock/:symbol", "GET /jobs/:id/events", "GET /files/*file")
    local function found(path, line, params)
      local route, got = made:match("GET", path)
      assert.equal(line, route)
      assert.same(params, got)
    end
    found("/", "GET /", {})
    found("/news", "GET /news", {})
    found("/stock/ACME", "GET /stock/:symbol", { symbol = "ACME" })
    found("/jobs/7/events", "GET /jobs/:id/events", { id = "7" })
    found("/files/", "GET /files/*file", { file = "" })
    found("/files/a/b.txt", "GET /files/*file", { file = "a/b.txt" })
    found("/files/a//", "GET /files/*file", { file = "a//" })
  end)

  it("knows what is not there", function()
    local made = routes("GET /news", "GET /stock/:symbol", "GET /jobs/:id/events", "GET /files/*file")
    for _, path in ipairs {
      "/", "/news/", "//news", "/News", "/stock", "/stock/", "/stock/a/b", "/jobs/7", "/jobs//events", "/files",
      "", "*", "news", "x/news", "http://host/news",
    } do
      assert.same({ nil, 404 }, { made:match("GET", path) })
    end
  end)

  it("prefers a literal to a parameter, and that to the rest", function()
    local made = routes("GET /a/*rest", "GET /a/:x", "GET /a/b", "GET /a/b/c", "GET /:first/b/d")
    assert.equal("GET /a/b", (made:match("GET", "/a/b")))
    assert.equal("GET /a/:x", (made:match("GET", "/a/c")))
    assert.equal("GET /a/*rest", (made:match("GET", "/a/c/d")))
    assert.equal("GET /a/*rest", (made:match("GET", "/a/b/d")))
    local route, params = made:match("GET", "/z/b/d")
    assert.equal("GET /:first/b/d", route)
    assert.same({ first = "z" }, params)
  end)

  it("comes back from a literal that leads nowhere", function()
    local made = routes("GET /a/b/:x/end", "GET /a/:y/c", "GET /:z/b/c/stop")
    local route, params = made:match("GET", "/a/b/c")
    assert.equal("GET /a/:y/c", route)
    assert.same({ y = "b" }, params)
    route, params = made:match("GET", "/a/b/c/stop")
    assert.equal("GET /:z/b/c/stop", route)
    assert.same({ z = "a" }, params)
  end)

  it("lets each route name its own parameters", function()
    local made = routes("GET /a/:x", "POST /a/:y", "GET /a/:z/end")
    assert.same({ x = "1" }, select(2, made:match("GET", "/a/1")))
    assert.same({ y = "1" }, select(2, made:match("POST", "/a/1")))
    assert.same({ z = "1" }, select(2, made:match("GET", "/a/1/end")))
  end)

  it("decodes each segment by itself", function()
    local made = routes("GET /caf\u{e9}/:x", "GET /rest/*all", "GET /a b")
    local function params(path)
      return (select(2, made:match("GET", path)))
    end
    assert.same({ x = "a/b" }, params "/caf%c3%A9/a%2Fb")
    assert.same({ x = "%41" }, params "/caf%C3%A9/%2541")
    assert.same({ x = ".." }, params "/caf\u{e9}/%2e%2E")
    assert.same({ x = "+" }, params "/caf\u{e9}/+")
    assert.same({ all = "a/b" }, params "/rest/a%2fb")
    assert.same({}, params "/a%20b")
  end)

  it("calls malformed percents and NUL a bad request", function()
    local made = routes("GET /x/:y", "GET /z/*rest")
    for _, path in ipairs {
      "/x/%", "/x/%4", "/x/%4g", "/x/%%41", "/x/%00", "/x/a\0b", "/no/%zz", "/z/a/%/b", "/z/%u0041",
    } do
      assert.same({ nil, 400 }, { made:match("GET", path) })
    end
  end)

  it("tells which methods a path has", function()
    local made = routes("GET /a", "POST /a", "PUT /a/:x", "DELETE /a/b", "PATCH /*rest")
    assert.same({ nil, 405, "GET, HEAD, OPTIONS, PATCH, POST" }, { made:match("DELETE", "/a") })
    assert.same({ nil, 405, "DELETE, OPTIONS, PATCH, PUT" }, { made:match("GET", "/a/b") })
    assert.same({ nil, 405, "OPTIONS, PATCH" }, { made:match("OPTIONS", "/z") })
    assert.equal("PUT /a/:x", (made:match("PUT", "/a/b")))
  end)

  it("answers HEAD by GET, and every method by ANY", function()
    local made = routes("GET /a", "HEAD /b", "GET /b", "ANY /c", "POST /c")
    assert.equal("GET /a", (made:match("HEAD", "/a")))
    assert.equal("HEAD /b", (made:match("HEAD", "/b")))
    assert.equal("ANY /c", (made:match("HEAD", "/c")))
    assert.equal("ANY /c", (made:match("OPTIONS", "/c")))
    assert.equal("POST /c", (made:match("POST", "/c")))
    assert.same({ nil, 405, "GET, HEAD, OPTIONS" }, { made:match("POST", "/a") })
  end)
end)

describe("router against a plain scan", function()
  -- The rule said another way: of all patterns that fit, the first in the order of their kinds by segment.
  local RANK = { [":"] = "2", ["*"] = "3" }

  local function fits(pattern, path)
    local lua_pattern = pattern:gsub("/%*%w+$", "/.*"):gsub(":%w+", "[^/]+")
    return path:find("^" .. lua_pattern .. "$") ~= nil
  end

  local function rank(pattern)
    return (pattern:gsub("/([^/]*)", function(segment)
      return RANK[segment:sub(1, 1)] or "1"
    end))
  end

  local function expected(patterns, path)
    local best
    for pattern in pairs(patterns) do
      if fits(pattern, path) and (not best or rank(pattern) < rank(best)) then
        best = pattern
      end
    end
    return best
  end

  local function random_path(choices)
    local segments = {}
    for i = 1, math.random(4) do
      segments[i] = choices[math.random(#choices)]
    end
    return "/" .. table.concat(segments, "/")
  end

  it("finds the same route", function()
    seed "router"
    for _ = 1, 300 do
      local lines, patterns = {}, {}
      for _ = 1, math.random(12) do
        local pattern, count = random_path { "a", "b", "", ":" }, 0
        pattern = pattern:gsub(":", function()
          count = count + 1
          return ":p" .. count
        end)
        pattern = math.random(4) == 1 and pattern:gsub("/[^/]*$", "/*rest") or pattern
        if not patterns[pattern] then
          patterns[pattern] = true
          lines[#lines + 1] = "GET " .. pattern
        end
      end
      local questions = {}
      for index = 1, 30 do
        questions[index] = { "GET", random_path { "a", "b", "c", "" } }
      end
      for index, answer in ipairs(routes(table.unpack(lines)).ask(questions)) do
        local path = questions[index][2]
        local best = expected(patterns, path)
        assert.equal(best and "GET " .. best, answer.route, path)
      end
    end
  end)
end)
