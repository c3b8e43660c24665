require "spec.lua.support"
local system = require "sse.system"

local MEMORY = [[
MemTotal:       16318480 kB
MemFree:         1000000 kB
MemAvailable:    8159240 kB
SwapMemTotal:         12 kB
]]

local NETWORK = [[
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier comp
    lo: 9999 9 0 0 0 0 0 0 9999 9 0 0 0 0 0 0
  eth0:%d 10 0 0 0 0 0 0 %d 10 0 0 0 0 0 0
 wlan0: 500 10 0 0 0 0 0 0 250 10 0 0 0 0 0 0
]]

local root

local function write(name, text)
  local file = assert(io.open(root .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

local function write_all(uptime, busy, idle, received, sent)
  write("uptime", uptime .. " 100.00\n")
  write("stat", ("cpu  %d 0 0 %d 0 0 0 0 50 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n"):format(busy, idle))
  write("loadavg", "0.52 1.50 2.25 1/345 6789\n")
  write("meminfo", MEMORY)
  write("net/dev", NETWORK:format(received, sent))
end

before_each(function()
  root = os.tmpname()
  os.remove(root)
  assert(os.execute("mkdir -p " .. root .. "/net"))
end)

after_each(function()
  assert(os.execute("rm -r " .. root))
end)

describe("system", function()
  it("reads the kernel's files", function()
    write_all("1000.50", 250, 750, 1500, 750)
    assert.same({
      cpu = 0.25, cpus = 2, load1 = 0.52, load5 = 1.5, load15 = 2.25,
      memory_total = 16318480 * 1024, memory_available = 8159240 * 1024, memory_used = 8159240 * 1024,
      uptime = 1000.5, network_received = 2000, network_sent = 1000,
      network_received_rate = 2000 / 1000.5, network_sent_rate = 1000 / 1000.5,
    }, system.reader(root)())
  end)

  it("counts from call to call", function()
    local read = system.reader(root)
    write_all("1000.00", 250, 750, 1500, 750)
    read()
    write_all("1002.00", 340, 760, 3500, 850)
    local numbers = read()
    assert.equal(0.9, numbers.cpu)
    assert.equal(1000.0, numbers.network_received_rate)
    assert.equal(50.0, numbers.network_sent_rate)
  end)

  it("gives the same answer twice within one tick", function()
    local read = system.reader(root)
    write_all("1000.00", 250, 750, 1500, 750)
    read()
    write_all("1002.00", 340, 760, 3500, 850)
    assert.same(read(), read())
  end)

  it("never leaves 0 to 1, whatever the counters do", function()
    local read = system.reader(root)
    write_all("1000.00", 250, 750, 1500, 750)
    read()
    write_all("1001.00", 200, 850, 0, 0)
    local numbers = read()
    assert.equal(0, numbers.cpu)
    assert.equal(0.0, numbers.network_received_rate)
  end)

  it("leaves out what it cannot read", function()
    assert.same({}, system.reader(root .. "/none")())
    write("meminfo", "MemTotal: 100 kB\n")
    write("stat", "garbage\n")
    write("net/dev", "x: y\n")
    assert.same({ memory_total = 102400 }, system.reader(root)())
  end)

  it("is real on this machine", function()
    local numbers = system.read()
    assert.is_true(numbers.cpu >= 0 and numbers.cpu <= 1)
    assert.is_true(numbers.cpus >= 1)
    assert.is_true(numbers.memory_used > 0 and numbers.memory_used < numbers.memory_total)
    assert.is_true(numbers.uptime > 0)
    assert.is_true(numbers.load1 >= 0)
  end)
end)
