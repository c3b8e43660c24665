--- Runs workloads on targets and keeps what came out.

local cjson = require "cjson"
local process = require "runner.process"
local targets = require "runner.targets"

local M = {}

---@alias bench.Results table<string, table<string, table[]>> workload name, target name, one result per round

local function load_command(workload, target, running, place)
  local command = { place.build .. "/sse-load", workload.mode, "--target", target.name }
  local function add(name, value)
    command[#command + 1] = "--" .. name
    command[#command + 1] = tostring(value)
  end
  local own = target.name == "router" and workload.router_options or {}
  for name, value in pairs(workload.options) do
    if own[name] == nil then add(name, value) end
  end
  for name, value in pairs(own) do add(name, value) end
  add("port", running.port)
  add("pid", running.process.pid)
  command[#command + 1] = "--children"
  if place.load_core then command[#command + 1] = "--spin" end
  return targets.pinned(place.load_core, command)
end

--- Runs one workload once on a fresh server.
---@param workload bench.Workload
---@param target bench.Target
---@param place bench.Place
---@return table result what sse-load printed; `ok` is false, and `failure` says why, if anything went wrong
function M.run(workload, target, place)
  local started, running = pcall(targets.start, target, place, workload.server_options)
  if not started then return { ok = false, failure = running } end
  local load = process.run(load_command(workload, target, running, place), place.time_limit)
  local parsed, result = pcall(cjson.decode, load.output)
  if not parsed then result = { ok = false } end
  local complaint = result.ok and target.name == "router" and workload.check and workload.check(result, running.port)
  if running.process.code then complaint = "the server died: " .. running.process.errors end
  process.stop(running.process)
  if complaint or not result.ok then
    result.ok = false
    result.failure = load.errors .. (complaint or "")
  end
  return result
end

--- The targets of a workload that can run here, of those asked for.
---@param workload bench.Workload
---@param available table<string, bench.Target>
---@return bench.Target[]
function M.targets_of(workload, available)
  local list = {}
  for _, name in ipairs(workload.targets) do list[#list + 1] = available[name] end
  return list
end

--- Runs everything `rounds` times, target after target within each workload, so that whatever drifts
--- on the machine meets all of them.
---@param workloads bench.Workload[]
---@param available table<string, bench.Target>
---@param rounds integer
---@param place bench.Place
---@param progress fun(workload: bench.Workload, target: bench.Target, round: integer, result: table)
---@return bench.Results
function M.run_all(workloads, available, rounds, place, progress)
  local results = {}
  for round = 1, rounds do
    for _, workload in ipairs(workloads) do
      local of_workload = results[workload.name] or {}
      results[workload.name] = of_workload
      for _, target in ipairs(M.targets_of(workload, available)) do
        local result = M.run(workload, target, place)
        of_workload[target.name] = of_workload[target.name] or {}
        of_workload[target.name][round] = result
        progress(workload, target, round, result)
      end
    end
  end
  return results
end

return M
