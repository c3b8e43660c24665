-- sse.state: plain data that outlives a reload of the script.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"

local M = {}

local states = debug.getregistry()["sse.states"] or {}
debug.getregistry()["sse.states"] = states

--- The table of that name: what the script before a reload kept there, else `default`. Strings, numbers, booleans
--- and tables of them are kept.
---@param name string
---@param default table?
---@return table
function M.get(name, default)
  options.argument("sse.state", 1, "name", name, "string")
  options.argument("sse.state", 2, "default", default, { type = "table", default = {} })
  if states[name] == nil then
    local kept = core.state(name, json.array)
    if kept == nil then
      kept = default or {}
    end
    states[name] = kept
  end
  return states[name]
end

return M
