-- Stages of pipes: what a function of one event cannot do. Each makes a stage for one pipe when it is called with
-- `emit`, which passes an event on: stage(event).

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"

local M = {}

---@class sse.Stage
---@field name string the same for equal arguments
---@field start fun(emit: fun(event: table)): fun(event: table)

local Stage = { __name = "sse.stage" }

local function define(name, start, ...)
  local parts = {}
  for index = 1, select("#", ...) do
    parts[index] = tostring((select(index, ...)))
  end
  return setmetatable({ name = ("%s(%s)"):format(name, table.concat(parts, ",")), start = start }, Stage)
end

function M.is_stage(value)
  return getmetatable(value) == Stage
end

local function duration(what, index, value)
  return options.argument(what, index, "interval", value, { type = "duration", min = 0.001 })
end

--- At most one event in each interval: the first, at once.
---@param interval string|number
---@return sse.Stage
function M.throttle(interval)
  local seconds = duration("sse.throttle", 1, interval)
  return define("throttle", function(emit)
    local free_at = 0
    return function(event)
      local now = core.monotonic()
      if now >= free_at then
        free_at = now + seconds
        emit(event)
      end
    end
  end, seconds)
end

--- The last event of a burst, when none has come for the interval.
---@param interval string|number
---@return sse.Stage
function M.debounce(interval)
  local seconds = duration("sse.debounce", 1, interval)
  return define("debounce", function(emit)
    local timer
    return function(event)
      if timer then
        timer:stop()
      end
      timer = core.timer(seconds, false, function()
        timer = nil
        emit(event)
      end)
    end
  end, seconds)
end

--- The last event of each interval in which any came.
---@param interval string|number
---@return sse.Stage
function M.sample(interval)
  local seconds = duration("sse.sample", 1, interval)
  return define("sample", function(emit)
    local last, waiting
    return function(event)
      last = event
      if not waiting then
        waiting = true
        core.timer(seconds, false, function()
          waiting = false
          emit(last)
        end)
      end
    end
  end, seconds)
end

--- Up to `count` events as one, whose data is the list of their data; after `time` those that have come.
---@param count integer
---@param time string|number|nil
---@return sse.Stage
function M.batch(count, time)
  options.argument("sse.batch", 1, "count", count, { type = "integer", min = 1 })
  local seconds = time and duration("sse.batch", 2, time)
  return define("batch", function(emit)
    local list, timer, name
    local function flush()
      if timer then
        timer:stop()
      end
      local full = list
      list, timer = nil, nil
      emit { event = name, data = full }
    end
    return function(event)
      list = list or json.array {}
      list[#list + 1], name = event.data, event.event
      if #list == count then
        flush()
      elseif seconds and not timer then
        timer = core.timer(seconds, false, function()
          timer = nil
          flush()
        end)
      end
    end
  end, count, seconds)
end

local function key_of(key, event)
  if type(key) == "function" then
    return key(event)
  elseif type(key) == "string" and type(event.data) == "table" then
    return event.data[key]
  end
  return type(event.data) == "table" and json.encode(event.data, "data") or event.data
end

--- Leaves out events whose key was among the last `limit` different ones. Without a key, the data itself.
---@param key string|fun(event: table): any|nil a field of the data, or a function
---@param limit integer? 1000 when absent
---@return sse.Stage
function M.dedupe(key, limit)
  limit = options.argument("sse.dedupe", 2, "limit", limit, { type = "integer", min = 1, default = 1000 })
  return define("dedupe", function(emit)
    local seen, order, position = {}, {}, 0
    return function(event)
      local value = key_of(key, event)
      if value == nil or not seen[value] then
        if value ~= nil then
          position = position % limit + 1
          if order[position] ~= nil then
            seen[order[position]] = nil
          end
          order[position], seen[value] = value, true
        end
        emit(event)
      end
    end
  end, key, limit)
end

return M
