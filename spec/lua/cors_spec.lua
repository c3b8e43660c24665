local support = require "spec.lua.support"
local cors = require "sse.cors"

local function applied(given, origin, headers)
  headers = headers or {}
  cors.new(given):apply({ method = "GET", headers = { origin = origin } }, headers)
  return headers
end

local function is_allowed(origins, origin)
  local headers = applied({ origins = origins }, origin)
  assert.equal("Origin", headers.Vary)
  local answer = headers["Access-Control-Allow-Origin"]
  assert.is_true(answer == nil or answer == origin)
  return answer ~= nil
end

local function preflight(given, headers, allow, method)
  return cors.new(given):preflight({ method = method or "OPTIONS", headers = headers }, allow)
end

local QUESTION = { origin = "https://a.example", ["access-control-request-method"] = "POST" }

describe("cors:apply", function()
  it("allows every origin unless told otherwise", function()
    for _, given in ipairs { {}, { origins = "*" }, { origins = { "*" } } } do
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, applied(given, "https://a.example"))
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, applied(given, nil))
    end
  end)

  it("allows one origin, or several", function()
    assert.is_true(is_allowed("https://a.example", "https://a.example"))
    assert.is_true(is_allowed("https://A.example", "https://a.example"))
    assert.is_true(is_allowed({ "https://a.example", "http://localhost:3000" }, "http://localhost:3000"))
    for _, origin in ipairs {
      "http://a.example", "https://a.example:8443", "https://a.example.evil", "https://b.example", "null", "",
      "https://xa.example", "https://axexample",
    } do
      assert.is_false(is_allowed({ "https://a.example", "http://localhost:3000" }, origin), origin)
    end
    assert.is_true(is_allowed("null", "null"))
  end)

  it("allows subdomains, and nothing that only looks like one", function()
    for _, origin in ipairs { "https://a.example.com", "https://a.b.example.com", "https://A-1.example.com" } do
      assert.is_true(is_allowed({ "https://*.example.com" }, origin), origin)
    end
    for _, origin in ipairs {
      "https://example.com", "https://.example.com", "http://a.example.com", "https://a.example.com:444",
      "https://evil.com/.example.com", "https://evil.com#.example.com", "https://user@evil.com?.example.com",
      "https://aexample.com", "https://a.exampleXcom", "https://a.example.com.evil", "xhttps://a.example.com",
    } do
      assert.is_false(is_allowed({ "https://*.example.com" }, origin), origin)
    end
    assert.is_true(is_allowed("http://*.test-1.local:8080", "http://x.test-1.local:8080"))
    assert.is_false(is_allowed("http://*.test-1.local:8080", "http://x.testt-1.local:8080"))
  end)

  it("asks a function", function()
    local function ask(origin)
      return origin:find "^https://" and "yes"
    end
    assert.is_true(is_allowed(ask, "https://a"))
    assert.is_false(is_allowed(ask, "http://a"))
    assert.same({ Vary = "Origin" }, applied({ origins = ask }, nil))
  end)

  it("adds credentials and exposed headers, to allowed origins only", function()
    local given = { origins = "https://a", credentials = true, expose = { "X-One", "X-Two" } }
    assert.same({
      ["Access-Control-Allow-Origin"] = "https://a",
      ["Access-Control-Allow-Credentials"] = "true",
      ["Access-Control-Expose-Headers"] = "X-One, X-Two",
      Vary = "Origin",
    }, applied(given, "https://a"))
    assert.same({ Vary = "Origin" }, applied(given, "https://b"))
  end)

  it("keeps the Vary that is there", function()
    assert.equal("Accept, Origin", applied({ origins = "https://a" }, "https://a", { Vary = "Accept" }).Vary)
    assert.same({ vary = "Accept, Origin" }, applied({ origins = "https://a" }, "https://b", { vary = "Accept" }))
  end)
end)

describe("cors:preflight", function()
  it("answers with the methods of the path and the headers that streams need", function()
    local status, body, headers = preflight({}, QUESTION, "GET, HEAD, OPTIONS, POST")
    assert.equal(204, status)
    assert.is_nil(body)
    assert.same({
      ["Access-Control-Allow-Origin"] = "*",
      ["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS, POST",
      ["Access-Control-Allow-Headers"] = "Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID",
      ["Access-Control-Max-Age"] = "3600",
    }, headers)
  end)

  it("says what its options say", function()
    local given = {
      origins = { "https://a.example" }, methods = { "GET", "POST" }, headers = "X-One", credentials = true,
      max_age = 1.5,
    }
    local _, _, headers = preflight(given, QUESTION, "GET")
    assert.same({
      ["Access-Control-Allow-Origin"] = "https://a.example",
      ["Access-Control-Allow-Credentials"] = "true",
      ["Access-Control-Allow-Methods"] = "GET, POST",
      ["Access-Control-Allow-Headers"] = "X-One",
      ["Access-Control-Max-Age"] = "1",
      Vary = "Origin",
    }, headers)
  end)

  it("gives back the headers asked for when all are allowed", function()
    local question = { ["access-control-request-headers"] = "x-a, authorization" }
    for name, value in pairs(QUESTION) do
      question[name] = value
    end
    local _, _, headers = preflight({ headers = "*" }, question)
    assert.equal("x-a, authorization", headers["Access-Control-Allow-Headers"])
    assert.equal("Access-Control-Request-Headers", headers.Vary)
    assert.equal("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT", headers["Access-Control-Allow-Methods"])
  end)

  it("tells a stranger nothing", function()
    local status, _, headers = preflight({ origins = "https://b.example" }, QUESTION, "GET")
    assert.equal(204, status)
    assert.same({ Vary = "Origin" }, headers)
  end)

  it("leaves other requests alone", function()
    assert.is_nil((preflight({}, QUESTION, "GET", "POST")))
    assert.is_nil((preflight({}, { origin = "https://a" }, "GET")))
    assert.is_nil((preflight({}, { ["access-control-request-method"] = "GET" }, "GET")))
  end)
end)

describe("cors.new", function()
  it("refuses what is no origin", function()
    for _, origin in ipairs {
      "example.com", "https://example.com/", "https://example.com/path", "https://*", "https://*.", "https://a.*.com",
      "*.example.com", "", "https://", "https://a b",
    } do
      local message = support.message(cors.new, { origins = { origin } })
      assert.match("sse%.cors: option 'origins' must be \"%*\", or origins such as ", message)
    end
    assert.match("option 'origins' must be", support.message(cors.new, { origins = { 1 } }))
  end)

  it("refuses credentials for everybody", function()
    assert.match("name the origins$", support.message(cors.new, { credentials = true }))
  end)

  it("checks its options", function()
    assert.match("unknown option 'origin' %(did you mean 'origins'%?%)", support.message(cors.new, { origin = "*" }))
    assert.match("option 'expose' must be a string or a list", support.message(cors.new, { expose = { 1 } }))
  end)
end)
