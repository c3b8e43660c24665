--- From results to figures: medians, and ratios of figures taken in the same round.

local M = {}

---@param values number[]
---@return number|nil
function M.median(values)
  if #values == 0 then return nil end
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

local function values_of(results, field)
  local values = {}
  for _, result in ipairs(results or {}) do
    if result.ok and result[field] then values[#values + 1] = result[field] end
  end
  return values
end

--- The median over all rounds of a field of the result, by default the one that counts.
---@param results bench.Results
---@param workload bench.Workload
---@param target string
---@param field string|nil
---@return number|nil
function M.figure(results, workload, target, field)
  local of_workload = results[workload.name] or {}
  return M.median(values_of(of_workload[target], field or workload.figure))
end

--- The median of the ratios of each round, and the least and the greatest of them.
---@param results bench.Results
---@param workload bench.Workload
---@param target string
---@param yardstick string
---@return number|nil median, number|nil least, number|nil greatest
function M.ratio(results, workload, target, yardstick)
  local of_workload, ratios = results[workload.name] or {}, {}
  local ours, theirs = of_workload[target] or {}, of_workload[yardstick] or {}
  for round, result in ipairs(ours) do
    local other = theirs[round]
    if result.ok and other and other.ok then
      ratios[#ratios + 1] = result[workload.figure] / other[workload.figure]
    end
  end
  if #ratios == 0 then return nil end
  return M.median(ratios), math.min(table.unpack(ratios)), math.max(table.unpack(ratios))
end

--- The bare loop that a workload is measured against, if it is.
---@param workload bench.Workload
---@return string|nil
function M.yardstick(workload)
  local first = workload.targets[1]
  return (first == "bare" or first == "joining") and first or nil
end

--- A figure as people read it.
---@param value number|nil
---@param unit string
---@return string
function M.format(value, unit)
  if not value then return "-" end
  if unit == "B" then return ("%.0f B"):format(value) end
  if value >= 1000 then return ("%.1f ms"):format(value / 1000) end
  if value >= 100 then return ("%.0f us"):format(value) end
  return ((value >= 10 and "%.1f us") or (value >= 1 and "%.2f us") or "%.3f us"):format(value)
end

return M
