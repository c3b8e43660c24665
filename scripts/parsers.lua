-- What makes events of the lines of a source. A parser is a function of a line that returns an event, or nil, or nil
-- and what is wrong with the line; it may come with a function that tells which lines it has not used yet.

local core = require "sse.core"
local event_reader = require "sse.event_reader"
local json = require "sse.json"

local M = {}

M.NAMES = { "line", "json", "sse" }

local makers = {}

--- The line is the data. Empty lines are left out: a browser would not tell of an event without data.
function makers.line(name)
  return function(line)
    if line ~= "" then
      return { event = name, data = event_reader.decode_utf8(line) }
    end
  end
end

--- The line is JSON and becomes the data.
function makers.json(name)
  return function(line)
    if not line:find "%S" then
      return nil
    end
    local value, problem = json.decode(line)
    if value == nil then
      return nil, ("no JSON: %s, in: %s"):format(problem, event_reader.decode_utf8(line:sub(1, 200)))
    end
    return { event = name, data = value }
  end
end

--- The lines are an event stream; an event ends at an empty line.
function makers.sse(name)
  local limit = core.event_limit()
  local reader, used = event_reader.new("", limit), {}
  local function take(line)
    used[#used + 1] = line
    local event = reader:feed(line .. "\n")[1]
    if line == "" then
      used = {}
    end
    if reader.skipped > 0 then
      reader.skipped = 0
      return nil, ("an event of more than %d bytes was left out"):format(limit)
    elseif not event then
      return nil
    end
    local retry = reader.retry
    reader.retry = nil
    return { event = event.event or name, data = event.data, id = event.bears_id and event.id or nil, retry = retry }
  end
  return take, function()
    return #used == 0 and "" or table.concat(used, "\n") .. "\n"
  end
end

--- A parser for lines of that kind; `name` is the name of events that bring none.
---@param kind string|function one of NAMES, or the parser itself
---@param name string?
---@return fun(line: string): any, string?
---@return fun(): string unused text of the lines that no event was made of yet
function M.make(kind, name)
  local parse, unused = kind, nil
  if type(kind) == "string" then
    parse, unused = makers[kind](name)
  elseif name then
    parse = function(line)
      local event, problem = kind(line)
      if type(event) == "string" then
        event = { event = name, data = event }
      elseif type(event) == "table" and event.event == nil then
        event.event = name
      end
      return event, problem
    end
  end
  return parse, unused or function()
    return ""
  end
end

return M
