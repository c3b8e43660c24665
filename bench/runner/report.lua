--- Writes the page of results.

local figures = require "runner.figures"
local goals = require "runner.goals"
local targets = require "runner.targets"

local M = {}

---@class bench.Report
---@field workloads bench.Workload[]
---@field results bench.Results
---@field rounds integer
---@field machine bench.Machine
---@field versions string[][] pairs of title and version
---@field date string
---@field commit string

local introduction = [[
# Results

Written by `bench/run`, which any machine with Linux and two processors can repeat. CPU time is what the
kernel charged to the server's processes, its part of the network stack included; the server has one
processor and the load generator the other, over loopback. Every event carries a number, and every
subscriber is checked for events lost, doubled or in another order: a run with one such event fails and
is not shown. Each figure is the median of %d rounds, each on a fresh server; each ratio is the
median of the ratios to the bare loop beside it in the same round (least to greatest in parentheses).
]]

local function row(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

local function add_table(lines, head, rows)
  lines[#lines + 1] = row(head)
  lines[#lines + 1] = row((function()
    local rule = {}
    for i = 1, #head do rule[i] = i == 1 and "---" or "---:" end
    return rule
  end)())
  for _, cells in ipairs(rows) do lines[#lines + 1] = row(cells) end
  lines[#lines + 1] = ""
end

local function figure_row(report, workload, title, field)
  local cells = { title }
  for _, target in ipairs(targets.all) do
    local value = figures.figure(report.results, workload, target.name, field)
    cells[#cells + 1] = figures.format(value, workload.unit)
  end
  return cells
end

local function figure_rows(report)
  local rows = {}
  for _, workload in ipairs(report.workloads) do
    rows[#rows + 1] = figure_row(report, workload, workload.title, workload.figure)
    for _, further in ipairs(workload.further or {}) do
      rows[#rows + 1] = figure_row(report, workload, further.title, further.figure)
    end
  end
  return rows
end

local function ratio_rows(report)
  local rows = {}
  for _, workload in ipairs(report.workloads) do
    local yardstick = figures.yardstick(workload)
    local cells = { workload.title }
    for _, target in ipairs(targets.all) do
      if target.name ~= "bare" and target.name ~= "joining" then
        local median, least, greatest
        if yardstick and workload.unit ~= "B" then
          median, least, greatest = figures.ratio(report.results, workload, target.name, yardstick)
        end
        cells[#cells + 1] = median and ("%.2f (%.2f to %.2f)"):format(median, least, greatest) or "-"
      end
    end
    if table.concat(cells, "", 2):find("%d") then rows[#rows + 1] = cells end
  end
  return rows
end

--- How often threads of sse-router went to sleep, to be woken up again, for one event.
local function wake_up_rows(report)
  local rows = {}
  for _, workload in ipairs(report.workloads) do
    local count = figures.figure(report.results, workload, "router", "switches_per_event")
    if count then rows[#rows + 1] = { workload.title, ("%.2f"):format(count) } end
  end
  return rows
end

local function goal_rows(report)
  local rows = {}
  for _, verdict in ipairs(goals.verdicts(report.workloads, report.results)) do
    rows[#rows + 1] = { verdict.goal.text, verdict.title, goals.describe(verdict) }
  end
  return rows
end

local function titles(first, skip)
  local head = { first }
  for _, target in ipairs(targets.all) do
    if not skip[target.name] then head[#head + 1] = target.title end
  end
  return head
end

local function add_facts(lines, report)
  lines[#lines + 1] = ("## Machine and versions\n\n%s, commit %s"):format(report.date, report.commit)
  lines[#lines + 1] = ""
  for _, fact in ipairs(report.machine.lines) do lines[#lines + 1] = "- " .. fact end
  for _, version in ipairs(report.versions) do
    lines[#lines + 1] = ("- %s: %s"):format(version[1], version[2])
  end
  if report.machine.load > 0.5 then
    lines[#lines + 1] = ("- other work was going on: load average %.1f before the first run"):format(
      report.machine.load)
  end
  lines[#lines + 1] = ""
end

--- The page, as Markdown.
---@param report bench.Report
---@return string
function M.page(report)
  local lines = { introduction:format(report.rounds), "![chart](results.svg)", "", "## Figures", "" }
  add_table(lines, titles("workload", {}), figure_rows(report))
  lines[#lines + 1] = "## Times the bare loop\n"
  add_table(lines, titles("workload", { bare = true, joining = true }), ratio_rows(report))
  lines[#lines + 1] = "## Wake-ups of sse-router for one event\n"
  add_table(lines, { "workload", "wake-ups" }, wake_up_rows(report))
  add_facts(lines, report)
  lines[#lines + 1] = "## Goals\n"
  add_table(lines, { "goal", "workload", "measured", "limit", "outcome" }, goal_rows(report))
  return table.concat(lines, "\n")
end

return M
