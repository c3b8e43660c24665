-- Running streams whose channels can be changed: one EventSource is then enough for a browser.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"

local M = {}

---@class sse.RunningStream
---@field id string
---@field channels string[] names and patterns
---@field private connection integer
---@field private spec table
local Running = {}
Running.__index = Running

local by_id, by_connection = {}, {}

local function name_of(channel)
  return type(channel) == "string" and channel or channel.name
end

--- A stream has started with `controls = true`.
function M.register(id, connection, spec, chunked, route)
  local names = {}
  for index, channel in ipairs(spec.channels) do
    names[index] = name_of(channel)
  end
  by_id[id] = setmetatable({
    id = id,
    connection = connection,
    spec = spec,
    chunked = chunked,
    route = route,
    channels = json.array(names),
  }, Running)
  by_connection[connection] = id
  core.watch_closing()
end

--- The stream on the connection has ended.
function M.forget(connection)
  local id = by_connection[connection]
  if id then
    by_id[id].closed = true
    by_id[id], by_connection[connection] = nil, nil
  end
end

--- The running stream of that id, which its client got as the event `stream`; nil when it has ended.
---@param id string
---@return sse.RunningStream?
function M.find(id)
  options.argument("sse.find_stream", 1, "id", id, "string")
  return by_id[id]
end

local function index_of(list, wanted)
  for index, value in ipairs(list) do
    if value == wanted then
      return index
    end
  end
end

function Running:update()
  if not self.closed then
    core.move(self.connection, setmetatable({ channels = self.channels }, { __index = self.spec }), self.chunked,
      self.route)
  end
end

--- Hears these channels too, from now on. Names and patterns.
function Running:add(...)
  for _, channel in ipairs { ... } do
    local name = name_of(channel)
    if not index_of(self.channels, name) then
      table.insert(self.channels, name)
    end
  end
  self:update()
end

--- Hears these channels no more.
function Running:remove(...)
  for _, channel in ipairs { ... } do
    local index = index_of(self.channels, name_of(channel))
    if index then
      table.remove(self.channels, index)
    end
  end
  self:update()
end

local function check_list(req, allow, list)
  if type(list) ~= "table" then
    return nil, "must be a list of channels' names"
  end
  for _, name in ipairs(list) do
    if type(name) ~= "string" or name == "" or #name > 255 then
      return nil, "must be a list of channels' names"
    elseif allow and not allow(req, name) then
      return nil, ("may not name '%s'"):format(name)
    end
  end
  return list
end

--- A handler for POST .../:id with { "add": [names], "remove": [names] }. `allow(req, name)` says which channels a
--- client may add.
---@param given { allow: fun(req: sse.Request, name: string): boolean }
function M.handler(given)
  local checked = options.check("sse.controls", given, { allow = { type = "function", required = true } })
  return function(req)
    local stream = by_id[req.params.id]
    local body, message = req:json()
    if not stream then
      return 404, { error = "there is no such stream" }
    elseif type(body) ~= "table" then
      return 400, { error = message or 'the body must be { "add": [...], "remove": [...] }' }
    end
    local add, problem = check_list(req, checked.allow, body.add or {})
    if not add then
      return 400, { error = "add " .. problem }
    end
    local remove, other = check_list(req, nil, body.remove or {})
    if not remove then
      return 400, { error = "remove " .. other }
    end
    stream:remove(table.unpack(remove))
    stream:add(table.unpack(add))
    return { channels = stream.channels }
  end
end

return M
