--- What is measured: each workload is one run of sse-load against a fresh server.

local client = require "runner.client"

local M = {}

---@class bench.Workload
---@field name string
---@field title string
---@field mode string of sse-load
---@field options table<string, string|number> of sse-load
---@field router_options table<string, string|number>|nil the same, for sse-router only
---@field targets string[] names; the first is the yardstick, if it is one of the bare loops
---@field figure string the field of the result that counts
---@field unit string
---@field further {title: string, figure: string}[]|nil other figures of the same run, shown below it
---@field server_options string[]|nil of sse-router
---@field check fun(result: table, port: integer): string|nil what is wrong with sse-router, asked after the run

local token = "Authorization: Bearer bench-token"

local function thousands(number)
  local text = tostring(number)
  return #text > 3 and text:sub(1, -4) .. " " .. text:sub(-3) or text
end

local function fanout(subscribers, outstanding, bytes, targets)
  local how = outstanding == 1 and "one at a time" or outstanding .. " outstanding"
  return {
    name = ("fanout-%d-%d-%d"):format(subscribers, outstanding, bytes),
    title = ("%s subscribers, %s, %s"):format(thousands(subscribers), how, bytes == 100 and "100 B" or "1 KiB"),
    mode = "fanout",
    options = { subscribers = subscribers, outstanding = outstanding, bytes = bytes },
    targets = targets,
    figure = "cpu_us_per_delivery",
    unit = "us",
  }
end

local function script_loop(subscribers)
  return {
    name = "loop-" .. subscribers,
    title = thousands(subscribers) .. " subscribers, the script publishes 64 in a loop, 100 B",
    mode = "self",
    options = { subscribers = subscribers, replay = 64 },
    targets = { "joining", "router", "node" },
    figure = "cpu_us_per_delivery",
    unit = "us",
  }
end

local function idle(subscribers, targets)
  return {
    name = "idle-" .. subscribers,
    title = ("user memory of an idle subscriber, of %s"):format(thousands(subscribers)),
    mode = "idle",
    options = { subscribers = subscribers, seconds = 2 },
    targets = targets,
    figure = "bytes_per_subscriber",
    unit = "B",
  }
end

local function threads(count)
  local workload = fanout(10000, 1, 100, { "bare", "router" })
  workload.name = "threads-" .. count
  local how_many = count == 1 and "1 I/O thread" or count .. " I/O threads"
  workload.title = ("10 000 subscribers, %s on one core, one at a time, 100 B"):format(how_many)
  workload.server_options = { "--threads", tostring(count) }
  return workload
end

--- Lua has to be asked once for each event and filter group, however many subscribers there are.
local function check_filter_calls(result, port)
  local calls = tonumber(client.get(port, "/filter-calls"):match('"calls":(%d+)'))
  local expected = result.events_in_all * math.min(100, result.subscribers)
  if calls ~= expected then
    return ("%d events made %d calls of the filter, not %d"):format(result.events_in_all, calls, expected)
  end
end

---@type bench.Workload[]
M.all = {
  fanout(1000, 1, 100, { "bare", "router", "nchan", "node" }),
  fanout(10000, 1, 100, { "bare", "router", "nchan", "node" }),
  fanout(19000, 1, 100, { "bare", "router" }),
  fanout(1000, 1, 1024, { "bare", "router" }),
  fanout(10000, 1, 1024, { "bare", "router" }),
  fanout(19000, 1, 1024, { "bare", "router" }),
  fanout(1000, 16, 100, { "joining", "bare", "router", "nchan", "node" }),
  fanout(10000, 16, 100, { "joining", "bare", "router", "nchan", "node" }),
  fanout(10000, 16, 1024, { "joining", "bare", "router", "nchan", "node" }),
  fanout(1000, 64, 100, { "joining", "router" }),
  fanout(10000, 64, 100, { "joining", "router" }),
  script_loop(1000),
  script_loop(10000),
  {
    name = "filter",
    title = "10 000 subscribers in 100 filter groups, one at a time, 100 B",
    mode = "fanout",
    options = { subscribers = 10000 },
    router_options = { subscribe = "/filtered/%g", groups = 100 },
    targets = { "bare", "router" },
    figure = "cpu_us_per_delivery",
    unit = "us",
    check = check_filter_calls,
  },
  {
    name = "named",
    title = "10 000 subscribers that filter by event name, one at a time, 100 B",
    mode = "fanout",
    options = { subscribers = 10000 },
    router_options = { subscribe = "/named" },
    targets = { "bare", "router" },
    figure = "cpu_us_per_delivery",
    unit = "us",
  },
  threads(1),
  threads(2),
  threads(4),
  {
    name = "spread",
    title = "10 000 channels of one subscriber, one POST and one delivery",
    mode = "spread",
    options = { subscribers = 10000 },
    targets = { "bare", "router", "nchan", "node" },
    figure = "cpu_us_per_delivery",
    unit = "us",
  },
  {
    name = "spread-publisher",
    title = "the same through sse.publisher",
    mode = "spread",
    options = { subscribers = 10000 },
    router_options = { publish = "/direct/%c" },
    targets = { "bare", "router" },
    figure = "cpu_us_per_delivery",
    unit = "us",
  },
  {
    name = "spread-thread",
    title = "through a handler, with a thread for I/O on the same core",
    mode = "spread",
    options = { subscribers = 10000 },
    targets = { "bare", "router" },
    server_options = { "--threads", "1" },
    figure = "cpu_us_per_delivery",
    unit = "us",
  },
  {
    name = "connect",
    title = "a new subscription",
    mode = "connect",
    options = { subscribers = 1000, batches = 10 },
    targets = { "bare", "router", "nchan", "node" },
    figure = "cpu_us_per_subscription",
    unit = "us",
    further = { { title = "and its end", figure = "cpu_us_per_disconnect" } },
  },
  {
    name = "replay",
    title = "replay of 100 events on reconnect, for one event, beyond the reconnect",
    mode = "replay",
    options = { subscribers = 500, batches = 10, replay = 100 },
    targets = { "router", "nchan" },
    figure = "cpu_us_per_replayed_event_net",
    unit = "us",
    further = { { title = "the same with the reconnect", figure = "cpu_us_per_replayed_event" } },
  },
  idle(10000, { "bare", "router", "nchan", "node" }),
  idle(19000, { "bare", "router" }),
  {
    name = "idle-private",
    title = "the same of 10 000 with a named filter and a token",
    mode = "idle",
    options = { subscribers = 10000, seconds = 2 },
    router_options = { subscribe = "/private/%g", groups = 100, ["subscribe-header"] = token },
    targets = { "router" },
    figure = "bytes_per_subscriber",
    unit = "B",
  },
  {
    name = "latency",
    title = "p99 at 1 000 subscribers, 50 messages a second",
    mode = "latency",
    options = { subscribers = 1000, rate = 50, seconds = 10, warmup = 1 },
    targets = { "bare", "router", "nchan", "node" },
    figure = "p99_us",
    unit = "us",
    further = {
      { title = "p50 of the same", figure = "p50_us" },
      { title = "p99.9 of the same", figure = "p999_us" },
    },
  },
}

--- The same workloads made so small that they only show whether all is delivered.
---@return bench.Workload[]
function M.short()
  local small, seen = {}, {}
  for _, workload in ipairs(M.all) do
    local key = table.concat({
      workload.mode, tostring(workload.options.outstanding), tostring(workload.router_options),
      tostring(workload.server_options),
    }, " ")
    if not seen[key] then
      seen[key] = true
      local events = workload.mode == "latency" and 25 or 200
      local options = { subscribers = 50, events = events, seconds = 0.2, warmup = 0.1, batches = 2, stall = 5000 }
      for name, value in pairs(workload.options) do options[name] = options[name] or value end
      local copy = setmetatable({ options = options }, { __index = workload })
      small[#small + 1] = copy
    end
  end
  return small
end

return M
