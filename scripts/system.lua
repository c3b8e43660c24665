-- Numbers of this machine, read from /proc. What cannot be read is absent, never invented.

local M = {}

---@class sse.System
---@field cpu number? share of all processors that was busy since the call before, 0 to 1; at the first call since boot
---@field cpus integer?
---@field load1 number?
---@field load5 number?
---@field load15 number?
---@field memory_total integer? bytes, as all that follow
---@field memory_available integer? what programs can get without swapping
---@field memory_used integer? total less available
---@field uptime number? seconds
---@field network_received integer? since boot, all interfaces but the loopback
---@field network_sent integer?
---@field network_received_rate number? bytes a second since the call before; at the first call since boot
---@field network_sent_rate number?

local function read(root, name)
  local file = io.open(root .. "/" .. name)
  if not file then
    return ""
  end
  local text = file:read("a") or ""
  file:close()
  return text
end

--- Ticks of all processors together: busy and in all. The kernel counts guests within user and nice.
local function processor_ticks(text)
  local fields, all = {}, 0
  for number in (text:match "^cpu +([%d ]+)" or ""):gmatch "%d+" do
    fields[#fields + 1] = math.tointeger(tonumber(number))
  end
  if #fields < 4 then
    return nil
  end
  for index = 1, math.min(#fields, 8) do
    all = all + fields[index]
  end
  return all - fields[4] - (fields[5] or 0), all
end

local function take_processors(numbers, text, last)
  local _, count = text:gsub("\ncpu%d+ ", "")
  numbers.cpus = count > 0 and count or nil
  local busy, all = processor_ticks(text)
  if not busy then
    return
  end
  -- Counters are whole ticks: two calls within one tick have the same answer.
  if all > (last.all or 0) then
    local share = (busy - (last.busy or 0)) / (all - (last.all or 0))
    last.busy, last.all, last.share = busy, all, math.min(math.max(share, 0), 1)
  end
  numbers.cpu = last.share
end

local function take_load(numbers, text)
  local one, five, fifteen = text:match "^([%d.]+) ([%d.]+) ([%d.]+) "
  numbers.load1, numbers.load5, numbers.load15 = tonumber(one), tonumber(five), tonumber(fifteen)
end

local function take_memory(numbers, text)
  local function bytes(name)
    local kilobytes = text:match("%f[^\n\0]" .. name .. ": +(%d+) kB")
    return kilobytes and math.tointeger(tonumber(kilobytes)) * 1024
  end
  local total, available = bytes "MemTotal", bytes "MemAvailable"
  numbers.memory_total, numbers.memory_available = total, available
  numbers.memory_used = total and available and total - available
end

local function network_bytes(text)
  local received, sent
  for name, counters in text:gmatch "([^%s:]+): *(%d[^\n]*)" do
    local came, went = counters:match "^(%d+) +%d+ +%d+ +%d+ +%d+ +%d+ +%d+ +%d+ +(%d+)"
    if came and name ~= "lo" then
      received = (received or 0) + math.tointeger(tonumber(came))
      sent = (sent or 0) + math.tointeger(tonumber(went))
    end
  end
  return received, sent
end

local function take_network(numbers, text, last)
  local received, sent = network_bytes(text)
  numbers.network_received, numbers.network_sent = received, sent
  local now = numbers.uptime
  if not received or not now then
    return
  end
  local seconds = now - (last.now or 0)
  if seconds > 0 then
    -- An interface that goes takes its counters along.
    last.received_rate = math.max(received - (last.received or 0), 0) / seconds
    last.sent_rate = math.max(sent - (last.sent or 0), 0) / seconds
    last.now, last.received, last.sent = now, received, sent
  end
  numbers.network_received_rate, numbers.network_sent_rate = last.received_rate, last.sent_rate
end

--- A function like `read` with a memory of its own for what is counted since the call before.
---@param root string folder of the kernel's files
---@return fun(): sse.System
function M.reader(root)
  local processors, network = {}, {}
  return function()
    local numbers = { uptime = tonumber(read(root, "uptime"):match "^[%d.]+") }
    take_processors(numbers, read(root, "stat"), processors)
    take_load(numbers, read(root, "loadavg"))
    take_memory(numbers, read(root, "meminfo"))
    take_network(numbers, read(root, "net/dev"), network)
    return numbers
  end
end

--- Numbers of this machine now.
M.read = M.reader "/proc"

return M
