--- The goals that sse-router has set itself, and whether a run met them.

local figures = require "runner.figures"

local M = {}

---@class bench.Goal
---@field text string
---@field workloads string[] Lua patterns of names; each has to keep the limit
---@field ratio number|nil limit as a multiple of the yardstick
---@field limit number|nil limit of the figure itself
---@field unit string|nil

---@type bench.Goal[]
M.all = {
  { text = "one at a time, CPU for a delivery", workloads = { "^fanout%-%d+%-1%-" }, ratio = 1.15 },
  { text = "16 and 64 outstanding", workloads = { "^fanout%-%d+%-16%-", "^fanout%-%d+%-64%-" }, ratio = 1.25 },
  { text = "a script that publishes in a loop", workloads = { "^loop%-" }, ratio = 1.25 },
  { text = "user memory of an idle subscriber", workloads = { "^idle%-%d" }, limit = 512, unit = "B" },
  { text = "the same with filter and token", workloads = { "^idle%-private$" }, limit = 1024, unit = "B" },
  { text = "a new subscription", workloads = { "^connect$" }, ratio = 2 },
  { text = "one POST and one delivery, sse.publisher", workloads = { "^spread%-publisher$" }, ratio = 1.6 },
  { text = "one POST and one delivery, Lua handler", workloads = { "^spread$" }, ratio = 2.2 },
  { text = "replay, for one event", workloads = { "^replay$" }, limit = 0.3, unit = "us" },
  { text = "p99 of the latency", workloads = { "^latency$" }, ratio = 1.2 },
}

---@class bench.Verdict
---@field goal bench.Goal
---@field title string of the workload; "-" if none measures this yet
---@field value number|nil the ratio or the figure; nil: not measured
---@field limit number
---@field met boolean|nil

local function matches(goal, workload)
  for _, pattern in ipairs(goal.workloads) do
    if workload.name:find(pattern) then return true end
  end
  return false
end

local function judge(goal, workload, results)
  local limit = goal.ratio or goal.limit
  local value
  if goal.ratio then
    value = figures.ratio(results, workload, "router", figures.yardstick(workload))
  else
    value = figures.figure(results, workload, "router")
  end
  return { goal = goal, title = workload.title, value = value, limit = limit, met = value and value <= limit }
end

--- One verdict for each goal and workload it speaks of, at least one for each goal.
---@param workloads bench.Workload[]
---@param results bench.Results
---@return bench.Verdict[]
function M.verdicts(workloads, results)
  local verdicts = {}
  for _, goal in ipairs(M.all) do
    local found = false
    for _, workload in ipairs(workloads) do
      if matches(goal, workload) then
        verdicts[#verdicts + 1] = judge(goal, workload, results)
        found = true
      end
    end
    if not found then verdicts[#verdicts + 1] = { goal = goal, title = "-", limit = goal.ratio or goal.limit } end
  end
  return verdicts
end

--- What was measured, what was allowed, and the outcome, as text.
---@param verdict bench.Verdict
---@return string measured, string limit, string outcome
function M.describe(verdict)
  local value, limit, unit = verdict.value, verdict.limit, verdict.goal.unit
  local limit_text = unit and figures.format(limit, unit) or ("%.2f times"):format(limit)
  if not value then return "-", limit_text, "not measured" end
  local value_text = unit and figures.format(value, unit) or ("%.2f times"):format(value)
  local percent = math.abs(value / limit - 1) * 100
  local outcome = verdict.met and ("met, %.0f %% to spare"):format(percent)
    or ("**missed by %.0f %%**"):format(percent)
  return value_text, limit_text, outcome
end

return M
