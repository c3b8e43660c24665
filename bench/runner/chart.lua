--- Draws the ratios to the bare loop as bars.

local figures = require "runner.figures"
local targets = require "runner.targets"

local M = {}

local width, left, right = 900, 380, 80
local bar, gap, top = 14, 14, 56
local colours = { router = "#1a7f5a", nchan = "#8a8fa3", node = "#c3a24a" }

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function text_at(x, y, text, extra)
  return ('<text x="%.1f" y="%.1f" %s>%s</text>'):format(x, y, extra or "", escape(text))
end

local function rectangle(x, y, w, h, colour)
  return ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'):format(x, y, w, h, colour)
end

--- The workloads with a ratio for sse-router, each with the ratio of every target that has one.
local function bars(report)
  local groups, most = {}, 1
  for _, workload in ipairs(report.workloads) do
    local yardstick = workload.unit == "us" and figures.yardstick(workload)
    local group = { title = workload.title }
    for _, target in ipairs(yardstick and targets.all or {}) do
      local ratio = colours[target.name] and figures.ratio(report.results, workload, target.name, yardstick)
      if ratio then
        group[#group + 1] = { target = target, ratio = ratio }
        most = math.max(most, ratio)
      end
    end
    if #group > 0 then groups[#groups + 1] = group end
  end
  return groups, most
end

local function legend()
  local parts, x = {}, left
  for _, target in ipairs(targets.all) do
    local colour = colours[target.name]
    if colour then
      parts[#parts + 1] = rectangle(x, 30, 10, 10, colour)
      parts[#parts + 1] = text_at(x + 16, 39, target.title)
      x = x + 170
    end
  end
  return parts
end

--- The chart, as SVG. Lengths are logarithmic and begin at one half; a dashed line marks the bare loop.
---@param report bench.Report
---@return string
function M.draw(report)
  local groups, most = bars(report)
  local scale = (width - left - right) / math.log(math.max(most, 2) * 2)
  local title = "The server's CPU time, and p99, as a multiple of the bare loop's (dashed line; logarithmic)"
  local parts = { text_at(8, 20, title, 'font-weight="bold"') }
  table.move(legend(), 1, 6, 2, parts)
  local y = top
  for _, group in ipairs(groups) do
    parts[#parts + 1] = text_at(left - 10, y + #group * bar / 2 + 4, group.title, 'text-anchor="end"')
    for _, one in ipairs(group) do
      local length = math.max(math.log(math.max(one.ratio, 0.5) * 2) * scale, 1)
      parts[#parts + 1] = rectangle(left, y, length, bar - 2, colours[one.target.name])
      parts[#parts + 1] = text_at(left + length + 5, y + bar - 4, ("%.2f"):format(one.ratio))
      y = y + bar
    end
    y = y + gap
  end
  local unit = left + math.log(2) * scale
  parts[#parts + 1] = ('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#444" stroke-dasharray="3 3"/>'):format(
    unit, unit, top - 6, y - gap + 4)
  local head = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">')
    :format(width, y)
  return table.concat({ head, rectangle(0, 0, width, y, "#ffffff"), table.concat(parts, "\n"), "</svg>\n" }, "\n")
end

return M
