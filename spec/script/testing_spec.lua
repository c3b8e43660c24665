-- `require "sse.testing"`: specs of a script's author, under plain Lua.

local uv = require "luv"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local server = require "spec.support.server"
local testing = dofile "scripts/testing.lua"

local script = [[
local sse = require "sse"
local news = sse.channel "news"
sse.get("/news", news)
sse.get("/private", function() return 403, "no" end)
sse.get("/hello", function(req) return "hello " .. (req.headers["x-name"] or "you") end)
sse.get("/env", function() return os.getenv "COLOUR" end)
sse.get("/short", function() return sse.stream(function(client) client:send "only" end) end)
sse.any("/echo", function(req) return { method = req.method, body = req.body, type = req.headers["content-type"] } end)
sse.post("/news", function(req) news:publish { event = "e", data = req.body, id = req.headers["x-id"] } return 204 end)
]]

describe("sse.testing", function()
  after_each(server.stop_all)
  after_each(testing.stop_all)

  local function start(text, options)
    options = options or {}
    options.router = options.router or server.binary
    return testing.start(files.directory { ["feeds.lua"] = text or script } .. "/feeds.lua", options)
  end

  --- Raises at this file's line.
  local function expect_failure(pattern, fn)
    local ok, message = pcall(fn)
    assert.is_false(ok)
    assert.matches("testing_spec%.lua:%d+: " .. pattern, message)
  end

  it("posts and hears", function()
    local feed = start()
    local client, other = feed:subscribe "/news", feed:subscribe "/news"
    assert.same({ 200, "text/event-stream" }, { client.status, client.headers["content-type"]:match "^[^;]+" })
    assert.equal(204, feed:post("/news", "hi\nthere\n", { ["X-Id"] = "7" }).status)
    assert.same({ event = "e", data = "hi\nthere\n", id = "7" }, client:next())
    assert.same({ event = "e", data = "hi\nthere\n", id = "7" }, other:next())
    feed:post("/news", ("x"):rep(300000))
    assert.equal(300000, #client:next().data)
    assert.is_true(client:is_silent(0.02))
    feed:post "/news"
    assert.is_false(client:is_silent(5))
    feed:stop()
  end)

  it("asks with methods, headers, bodies and variables", function()
    local feed = start(nil, { env = { COLOUR = "blue" }, args = { "--threads", "1" } })
    assert.equal("hello you", feed:get("/hello").body)
    assert.equal("hello Ada", feed:get("/hello", { ["X-Name"] = "Ada" }).body)
    assert.equal("blue", feed:get("/env").body)
    assert.equal(404, feed:get("/nowhere").status)
    assert.same({ method = "PUT", body = "text" }, feed:request("PUT", "/echo", "text"):json())
    assert.same({ method = "POST", body = '{"a":1}', type = "application/json" }, feed:post("/echo", { a = 1 }):json())
    assert.matches("^http://127%.0%.0%.1:%d+$", feed.url)
  end)

  it("tells refusals, ends and silence at the spec's line", function()
    testing.timeout = 0.2
    finally(function() testing.timeout = 5 end)
    local feed = start()
    local refused = feed:subscribe "/private"
    assert.equal(403, refused.status)
    expect_failure("/private %(status 403%) has ended", function() refused:next() end)
    local short = feed:subscribe "/short"
    assert.equal("only", short:next().data)
    expect_failure("/short %(status 200%) has ended: no further event", function() short:next() end)
    local client = feed:subscribe "/news"
    expect_failure("no event came from /news", function() client:next(0.02) end)
    expect_failure("GET /news answers with a stream: use subscribe", function() feed:get "/news" end)
  end)

  it("tells why a script does not start", function()
    expect_failure(".*feeds%.lua:1: unexpected symbol", function() start "local x = = 1" end)
    expect_failure("cannot start /nowhere/sse%-router", function() start(nil, { router = "/nowhere/sse-router" }) end)
  end)

  it("shows the log, and a router that died", function()
    local feed = start(script .. 'sse.log.info "ready"')
    assert.matches("ready", feed:log(), 1, true)
    feed.process:kill "sigkill"
    expect_failure("the router ended with status 137:\n.*ready", function() feed:stop() end)
  end)

  it("ends what a program forgot to stop", function()
    local folder = files.directory { ["feeds.lua"] = script }
    local result = process.run({ "lua5.4", "-e", [[
      local testing = dofile "scripts/testing.lua"
      local feed = testing.start(os.getenv "SCRIPT", { router = os.getenv "ROUTER" })
      feed:subscribe "/news"
      print(feed.pid)]] }, { env = { SCRIPT = folder .. "/feeds.lua", ROUTER = server.binary }, seconds = 10 })
    assert.equal("", result.stderr)
    local pid = tonumber(result.stdout)
    loop.wait_until(function()
      local status = files.read(("/proc/%d/status"):format(pid))
      return not status or status:find "\nState:%sZ"
    end, 10, "the router's end")
  end)

  it("says that there is no such program, and lets its process end well", function()
    local result = process.run({ "lua5.4", "-e", [[
      local testing = dofile "scripts/testing.lua"
      testing.start("feeds.lua", { router = "/nowhere/sse-router" })]] }, { seconds = 10 })
    assert.same({ 1, 0 }, { result.status, result.signal })
    assert.matches("cannot start /nowhere/sse-router: ENOENT", result.stderr, 1, true)
  end)

  it("is found by the specs of examples/spec, as --types wrote it", function()
    local folder = files.directory()
    assert.equal(0, server.run({ "--types", folder }).status)
    assert.equal(files.read "scripts/testing.lua", files.read(folder .. "/sse/testing.lua"))
    local result = process.run({ "busted", "--lua=lua5.4" }, {
      cwd = "examples",
      env = { LUA_PATH = folder .. "/?.lua;;", SSE_ROUTER = assert(uv.fs_realpath(server.binary)) },
      seconds = 30,
    })
    assert.equal(0, result.status, result.stdout)
    assert.matches("3 successes / 0 failures / 0 errors", result.stdout, 1, true)
  end)
end)
