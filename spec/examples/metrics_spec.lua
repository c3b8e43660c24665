-- examples/metrics.lua: this machine's CPU and memory every 2 s, and a page that draws them.

local json = require "cjson"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local page = require "spec.support.page"
local server = require "spec.support.server"

local function assert_between(low, value, high, name)
  assert.number(value, name)
  assert(value >= low and value <= high, ("%s is %s, not within %s and %s"):format(name, value, low, high))
end

--- Raises unless these are numbers of this machine, now.
local function assert_of_this_machine(numbers)
  local total = tonumber(files.read("/proc/meminfo"):match "MemTotal:%s*(%d+)") * 1024
  local uptime = tonumber(files.read("/proc/uptime"):match "^[%d.]+")
  assert.equal(total, numbers.memory_total)
  assert_between(0, numbers.cpu, 1, "cpu")
  assert_between(1, numbers.memory_used, total, "memory_used")
  assert_between(0, numbers.load1, 10000, "load1")
  assert_between(uptime - 60, numbers.uptime, uptime, "uptime")
  assert_between(os.time() - 60, numbers.time, os.time() + 1, "time")
end

describe("examples/metrics.lua", function()
  after_each(server.stop_all)

  it("measures every 2 s, keeps what it measured, and draws it as moving lines", function()
    local started = loop.now()
    local router = server.start_file "examples/metrics.lua"
    local session = page.start("metrics.mjs", router.url .. "/")
    local listener = eventsource.open(router.port, "/events")
    local first, second = listener:next(), listener:next()
    assert(loop.now() - started >= 3.8, "the second measurement came too early")
    assert.same({ 2000 }, listener.retries)
    for _, event in ipairs { first, second } do
      assert.equal("message", event.event)
      assert_of_this_machine(json.decode(event.data))
    end
    assert(json.decode(second.data).time > json.decode(first.data).time)
    assert.same({ first, second }, eventsource.open(router.port, "/events"):take(2))

    local shown = session:finish()
    assert.equal("Live", shown.state)
    assert.matches("^%d+ %%$", shown.cpu)
    assert.matches("^%d+ %%$", shown.memory)
    assert.matches("^%d+%.%d%d$", shown.load)
    for name, line in pairs(shown.lines) do
      assert(line.after.left < line.before.left, name .. " does not move to the left")
    end
  end)
end)
