local support = require "spec.lua.support"
local auth = require "sse.auth"

local function request(token, authorization)
  return { query = { token = token }, headers = { authorization = authorization } }
end

local function status(guard, ...)
  return (guard(request(...)))
end

describe("auth.token", function()
  before_each(support.reset)

  it("lets the right token pass and says what it may", function()
    local guard = auth.token { secret = "s3cret", scope = "publish" }
    local req = request "s3cret"
    assert.equal(0, select("#", guard(req)))
    assert.same({ scope = "publish" }, req.claims)
    for _, header in ipairs { "Bearer s3cret", "bearer s3cret", "BEARER   s3cret ", } do
      assert.equal(0, select("#", guard(request(nil, header))), header)
    end
  end)

  it("answers 401 without a token", function()
    local guard = auth.token { secret = "s3cret" }
    local code, body, headers = guard(request())
    assert.equal(401, code)
    assert.same({ error = "a token is needed" }, body)
    assert.same({ ["WWW-Authenticate"] = "Bearer" }, headers)
    assert.equal(401, status(guard, ""))
    for _, header in ipairs { "", "Bearer", "Bearer ", "Basic czNjcmV0", "s3cret", "Bearers3cret" } do
      assert.equal(401, status(guard, nil, header), header)
    end
    assert.same({}, support.compared)
  end)

  it("answers 403 to a wrong token", function()
    local guard = auth.token { secret = "s3cret" }
    for _, token in ipairs { "s3cre", "s3cret ", "S3CRET", "s3cret\0", "x" } do
      local req = request(token)
      local code, body = guard(req)
      assert.equal(403, code)
      assert.same({ error = "the token is not valid" }, body)
      assert.is_nil(req.claims)
    end
    assert.equal(403, status(guard, nil, "Bearer wrong"))
  end)

  it("prefers the header, and takes the query beside another scheme", function()
    local guard = auth.token { secret = "s3cret" }
    assert.equal(403, status(guard, "s3cret", "Bearer wrong"))
    assert.is_nil(status(guard, "wrong", "Bearer s3cret"))
    assert.is_nil(status(guard, "s3cret", "Basic dTpw"))
  end)

  it("compares with every secret, whichever fits", function()
    local guard = auth.token { secret = { "old", "new", "newest" } }
    for _, token in ipairs { "old", "new", "newest", "none" } do
      support.reset()
      assert.equal(token == "none" and 403 or nil, status(guard, token))
      assert.same({ { "old", token }, { "new", token }, { "newest", token } }, support.compared)
    end
  end)

  it("looks only where it is told to", function()
    local guard = auth.token { secret = "s3cret", query = false }
    assert.equal(401, status(guard, "s3cret"))
    guard = auth.token { secret = "s3cret", header = false, query = "key" }
    assert.equal(401, status(guard, "s3cret", "Bearer s3cret"))
    assert.is_nil((guard { query = { key = "s3cret" }, headers = {} }))
  end)

  it("does not follow a change of the list it was given", function()
    local secrets = { "a", "b" }
    local guard = auth.token { secret = secrets }
    secrets[1] = ""
    assert.is_nil(status(guard, "a"))
    assert.equal(401, status(guard, ""))
  end)

  it("refuses to be made without a secret, and says why there may be none", function()
    for _, given in ipairs {
      {}, { secret = os.getenv "SSE_NO_SUCH_VARIABLE" }, { secret = "" }, { secret = {} }, { secret = { "a", "" } },
      { secret = { nil, "b" } }, { secret = 12 }, { secret = { a = "b" } },
    } do
      local message = support.message(function()
        auth.token(given)
      end)
      assert.match("auth_spec%.lua:%d+: sse%.auth%.token: option 'secret' must be", message)
      assert.match("environment variable is probably not set$", message)
    end
  end)

  it("never shows a secret in a message", function()
    for _, given in ipairs { { secret = { "hunter2", 5 } }, { secret = "hunter2", header = "x" } } do
      assert.is_nil(support.message(auth.token, given):find "hunter2")
    end
  end)

  it("checks its options", function()
    local function refused(given)
      return support.message(auth.token, given)
    end
    assert.match("unknown option 'secrets' %(did you mean 'secret'%?%)", refused { secrets = "a" })
    assert.match("no token could ever arrive", refused { secret = "a", query = false, header = false })
    assert.match("'query' must be the name of a query parameter", refused { secret = "a", query = 1 })
  end)
end)
