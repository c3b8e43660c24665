--- Proves the prover: the load generator has to notice each kind of wrong delivery.

local cjson = require "cjson"
local process = require "runner.process"
local targets = require "runner.targets"

local M = {}

--- What peers/liar.js does wrong, and the counter that has to show it.
local faults = {
  { "lose", "lost" },
  { "double", "doubled" },
  { "swap", "reordered" },
  { "differ", "reordered" },
  { "reset", "resets" },
  { "end", "failed_streams" },
  { "crumbs", nil },
}

local function try(fault, place)
  local running = targets.start_command { "node", place.bench .. "/peers/liar.js", fault }
  local load = process.run({
    place.build .. "/sse-load", "fanout", "--subscribers", "10", "--outstanding", "4", "--events", "40",
    "--stall", "500", "--target", fault, "--port", tostring(running.port),
  }, 20)
  process.stop(running.process)
  return load.code, cjson.decode(load.output)
end

--- Tries all of them. Returns the faults that went unnoticed, as text.
---@param place bench.Place
---@return string[]
function M.unnoticed(place)
  local missed = {}
  for _, fault in ipairs(faults) do
    local name, counter = fault[1], fault[2]
    local code, result = try(name, place)
    local noticed = code == 1 and counter and result[counter] > 0
    if counter and not noticed then missed[#missed + 1] = name .. " went unnoticed" end
    if not counter and code ~= 0 then missed[#missed + 1] = name .. " was taken for a fault" end
  end
  return missed
end

return M
