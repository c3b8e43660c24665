-- Calls that stop the whole script: allowed, and told once with the script's line and what to use instead.

local http = require "spec.support.http"
local server = require "spec.support.server"

local script = [[
local sse = require "sse"
local early = io.popen "echo early"
os.execute "true"
assert(io.popen("echo loaded"):read "l" == "loaded")
sse.get("/execute", function() local ok = os.execute "exit 3" return { ok = ok or false } end)
sse.get("/sleep", function() local ok = os.execute "sleep 0" return { ok = ok } end)
sse.get("/shell", function() local ok = os.execute() return { ok = ok } end)
sse.get("/popen", function()
  local pipe <close> = io.popen "echo said"
  local line = pipe:read "l"
  return line
end)
sse.get("/early", function() local line = early:read() return line end)
sse.get("/lines", function() for line in io.popen("echo one; echo two"):lines() do return line end end)
sse.get("/stdin", function() local line = io.read() return { line = line } end)
sse.get("/stdin-lines", function() for line in io.lines() do return line end return "none" end)
sse.get("/file", function()
  local file <close> = io.open "/proc/version"
  local line = file:read()
  for more in io.lines "/proc/version" do line = line == more end
  return { line }
end)
sse.get("/wrong", function() local _ = os.execute {} end)
sse.get("/missing", function() local _, message = io.open "/nowhere" return message end)
]]

describe("a call that stops the script", function()
  local router

  before_each(function()
    router = server.start(script, { stdin = "a line\nanother\n" })
  end)
  after_each(server.stop_all)

  local function get(path)
    return http.get(router.port, path)
  end

  local function warnings()
    local _, count = router:log():gsub("stops the whole script", "")
    return count
  end

  local function expect(line, text)
    router:wait_log(("warn .*script%%.lua:%d: %s"):format(line, text))
  end

  it("is no matter while the script is loaded", function()
    get "/missing"
    assert.equal(0, warnings())
  end)

  it("warns of os.execute, and does what it always did", function()
    assert.same({ ok = false }, get("/execute"):json())
    expect(5, "os%.execute stops the whole script until it is done: use sse%.exec$")
    get "/execute"
    get "/execute"
    assert.equal(1, warnings())
  end)

  it("names sse.sleep where a program sleeps", function()
    assert.same({ ok = true }, get("/sleep"):json())
    expect(6, "os%.execute stops the whole script until it is done: use sse%.sleep$")
  end)

  it("warns of io.popen and of reading from it", function()
    assert.equal("said", get("/popen").body)
    expect(9, "io%.popen stops .* use sse%.exec$")
    expect(10, "file:read of a pipe stops .* use sse%.exec")
    assert.equal(2, warnings())
    assert.equal("one", get("/lines").body)
    expect(14, "file:lines of a pipe stops")
  end)

  it("warns of a pipe that was opened while the script was loaded", function()
    assert.equal("early", get("/early").body)
    expect(13, "file:read of a pipe stops")
    assert.equal(1, warnings())
  end)

  it("warns of reading standard input", function()
    assert.same({ line = "a line" }, get("/stdin"):json())
    expect(15, "io%.read of standard input stops .* use sse%.exec")
    assert.equal("another", get("/stdin-lines").body)
    expect(16, "io%.lines of standard input stops")
  end)

  it("says nothing of files, questions and mistakes", function()
    assert.equal(200, get("/file").status)
    assert.same({ ok = true }, get("/shell"):json())
    assert.equal(500, get("/wrong").status)
    router:wait_log "script%.lua:23: bad argument #1 to 'execute'"
    assert.equal("/nowhere: No such file or directory", get("/missing").body)
    assert.equal(0, warnings())
  end)
end)
