-- Routes: which handler answers a request, and the guards before it.

local core = require "sse.core"
local cors = require "sse.cors"
local hooks = require "sse.hooks"
local options = require "sse.options"
local request = require "sse.request"
local response = require "sse.response"
local router = require "sse.router"
local signature = require "sse.signature"

local M = {}

local table_of_routes = router.new()
core.use_router(table_of_routes.handle)

local common_guards = {}
local sharing -- sse.cors
local known = {} -- ids of routes

local function is_callable(value)
  return type(value) == "function"
end

--- A channel or a description of a stream in the place of a handler.
local function handler_of(what, value)
  local stream = not is_callable(value) and response.stream_of(value)
  if stream then
    return function()
      return stream
    end
  elseif is_callable(value) then
    return value
  end
  return options.raise(("%s: the last argument must be a handler (a function) or a channel, got %s")
    :format(what, type(value)))
end

--- A guard that is nil is a typo in its name: to leave it out would open the route.
local function check_guards(what, guards, count, first)
  for index = 1, count do
    options.argument(what, first + index - 1, "guard", guards[index], "function")
  end
end

--- Adds the route of a handler behind its own guards and those of every route.
local function add(method, path, guards, handler, publishes)
  local all = table.move(guards, 1, #guards, #common_guards + 1, table.move(common_guards, 1, #common_guards, 1, {}))
  local places = {}
  for index, guard in ipairs(all) do
    places[index] = core.place_of(guard)
  end
  local id = core.hash(method .. " " .. path .. signature.of(all, handler))
  table_of_routes:add(method, path, {
    guards = all,
    places = places,
    handler = handler,
    place = core.place_of(handler),
    id = id,
    publishes = #all == 0 and publishes or nil,
  })
  known[id] = true
end

--- Defines a route. The arguments behind the path are guards, the last one is the handler.
---@param method string
---@param path string
function M.add(method, path, ...)
  local what = "sse." .. method:lower()
  options.argument(what, 1, "path", path, "string")
  local guards, count = { ... }, select("#", ...)
  if count == 0 then
    options.raise(("%s: a handler is missing behind the path"):format(what))
  end
  local handler = handler_of(what, guards[count])
  guards[count] = nil
  check_guards(what, guards, count - 1, 2)
  add(method, path, guards, handler)
end

--- Defines the route of an endpoint to publish with. The core answers plain publications by itself when there are no
--- guards.
---@param method string
---@param path string
---@param guards function[]
---@param handler fun(req: sse.Request): ...
---@param channel string|true the channel's name, or that the parameter `channel` gives it
function M.add_publisher(method, path, guards, handler, channel)
  check_guards("sse.publisher", guards, #guards, 1)
  add(method, path, guards, handler, channel)
end

--- Whether the script has that route: the same path with the same handler and guards.
---@param id integer
---@return boolean
function M.keeps(id)
  return known[id] == true
end

--- Guards of every route that is defined from now on.
function M.use(...)
  local guards = { ... }
  check_guards("sse.use", guards, math.max(1, select("#", ...)), 1)
  table.move(guards, 1, #guards, #common_guards + 1, common_guards)
end

--- Allows other origins' pages to use the routes.
function M.cors(given)
  if type(given) == "string" then
    given = { origins = given }
  end
  sharing = cors.new(given)
  table_of_routes.handle:answer_in_script()
end

function M.list()
  return table_of_routes:list()
end

local function headers_for(req)
  local headers = {}
  if sharing then
    sharing:apply(req, headers)
  end
  return headers
end

--- Answers with the results of a guard or handler.
local function answer(req, first, ...)
  local headers = headers_for(req)
  local stream = response.stream_of(first)
  if not stream then
    return response.send(req, headers, first, ...)
  elseif select("#", ...) > 0 then
    options.raise "a stream must be a handler's only result"
  end
  -- Browsers never recover from an error answer, so a bad starting point in the header is answered with a reset.
  local start, in_query = req.handle:start()
  if in_query and not core.check_start(start) then
    return response.send(req, headers, 400, {
      error = "last_event_id must be an id, earliest, latest, last=20 or since=10m",
    })
  end
  local id = stream:open(req, headers, start)
  if id then
    hooks.subscribed(req, stream, id)
  end
end

--- Requests that no route answers.
local function answer_without_route(req, status, allow)
  local headers = headers_for(req)
  if status == 405 or req.raw_path == "*" then
    headers.Allow = allow
    if req.method == "OPTIONS" then
      return response.send(req, headers, 204)
    end
  end
  return response.send(req, headers, status)
end

local function answer_preflight(req, allow)
  local status, _, headers = sharing:preflight(req, allow)
  if status then
    req.handle:respond(status, headers)
  end
  return status ~= nil
end

--- True when a guard has answered. One that gives no answer but a message means to deny, as `nil, message` says
--- everywhere else; it must not let pass.
local function run_guards(req, route)
  for index, guard in ipairs(route.guards) do
    core.set_place(route.places[index])
    local results = table.pack(guard(req))
    if results[1] ~= nil or results[2] ~= nil then
      answer(req, table.unpack(results, 1, results.n))
      return true
    end
  end
  return false
end

--- Answers a request. Runs as a coroutine of its own. The rest is what a router's `match` gives.
---@param handle userdata
---@param route table?
---@param params table<string, string>|integer
---@param allow string?
function M.dispatch(handle, route, params, allow)
  local req = request.new(handle, route and params)
  if sharing and req.method == "OPTIONS" and req.raw_path and answer_preflight(req, allow) then
    return
  elseif not route then
    return answer_without_route(req, params, allow)
  end
  req.route = route.id
  if not run_guards(req, route) then
    core.set_place(route.place)
    answer(req, route.handler(req))
  end
end

--- Answers a request whose handler raised or was ended, so that pages of other origins can read that it did.
---@param handle userdata
---@param status integer
---@param text string
function M.fail(handle, status, text)
  local headers = headers_for(request.new(handle))
  headers["Cache-Control"], headers["Content-Type"] = "no-store", "text/plain; charset=utf-8"
  handle:respond(status, headers, text)
end

return M
