local support = require "spec.lua.support"
local options = require "sse.options"

local RULES = {
  history = { type = "integer", default = 100, min = 0 },
  max_age = { type = "duration" },
  max_bytes = { type = "size", default = "64k" },
  on_lag = { type = "string", values = { "disconnect", "skip" } },
  key = { type = "string" },
  share = { type = "number", min = 0, max = 1 },
  save = { type = "boolean" },
  filter = { type = "function" },
}

local function check(given)
  return options.check("sse.channel", given, RULES)
end

local function refused(given)
  return support.message(function()
    check(given)
  end)
end

describe("options.check", function()
  it("gives back a new table, converted and with defaults", function()
    local given = { max_age = "1h", history = 3.0, save = false }
    local checked = check(given)
    assert.same({ max_age = 3600, history = 3, save = false, max_bytes = 65536 }, checked)
    assert.equal("integer", math.type(checked.history))
    assert.same({ max_age = "1h", history = 3.0, save = false }, given)
  end)

  it("takes nil for an empty table", function()
    assert.same({ history = 100, max_bytes = 65536 }, check(nil))
  end)

  it("begins with the place in the script", function()
    local message = support.message(function()
      options.check("sse.channel", { histroy = 1 }, RULES)
    end)
    local line = debug.getinfo(1, "l").currentline - 2
    assert.match("options_spec%.lua:" .. line .. ": sse%.channel: unknown option", message)
  end)

  it("names the nearest option", function()
    local near = {
      histroy = "history", maxage = "max_age", maxAge = "max_age", Key = "key", onlag = "on_lag",
      max_byte = "max_bytes", filters = "filter", ["max-age"] = "max_age",
    }
    for given, known in pairs(near) do
      local message = refused { [given] = 1 }
      assert.match("unknown option '" .. given:gsub("%p", "%%%0") .. "'", message)
      assert.match("did you mean '" .. known .. "'%?", message)
    end
  end)

  it("lists the known options when none is near", function()
    assert.match(
      "unknown option 'zebra' %(known options: filter, history, key, max_age, max_bytes, on_lag, save, share%)$",
      refused { zebra = 1 }
    )
  end)

  it("says that options have names", function()
    assert.match("options have names, got the key 1 ", refused { "news" })
    assert.match("it takes no named options", support.message(options.check, "sse.x", { a = 1 }, {}))
  end)

  it("says what a value must be", function()
    local cases = {
      { { history = -1 }, "option 'history' must be an integer of at least 0, got %-1$" },
      { { history = 1.5 }, "'history' must be an integer of at least 0, got 1%.5$" },
      { { history = "10" }, "'history' must be an integer of at least 0, got \"10\"$" },
      { { share = 2 }, "'share' must be a number from 0 to 1, got 2$" },
      { { share = 0 / 0 }, "'share' must be a number" },
      { { max_age = "3 s" }, "'max_age' must be a duration such as .*, got \"3 s\"$" },
      { { max_bytes = {} }, "'max_bytes' must be a size such as .*, got table$" },
      { { on_lag = "stop" }, "'on_lag' must be one of \"disconnect\", \"skip\", got \"stop\"$" },
      { { save = 1 }, "'save' must be true or false, got 1$" },
      { { filter = "f" }, "'filter' must be a function, got \"f\"$" },
    }
    for _, case in ipairs(cases) do
      assert.match(case[2], refused(case[1]))
    end
  end)

  it("shortens what it shows and shows no control characters", function()
    local message = refused { on_lag = "\27[31m" .. ("x"):rep(1000) }
    assert.is_true(#message < 200)
    assert.is_nil(message:find("%c"))
  end)

  it("wants a table", function()
    assert.match("sse%.channel: options must be a table, got \"news\"$", refused "news")
  end)

  it("asks for what is required", function()
    local rules = { channel = { type = "string", required = true } }
    assert.match("sse%.exec: option 'channel' is missing$", support.message(options.check, "sse.exec", {}, rules))
  end)

  it("takes a function as a type", function()
    local rules = {
      even = {
        type = function(value)
          if value % 2 == 0 then
            return value // 2
          end
          return nil, "must be even"
        end,
      },
    }
    assert.same({ even = 4 }, options.check("sse.x", { even = 8 }, rules))
    assert.match("option 'even' must be even, got 7$", support.message(options.check, "sse.x", { even = 7 }, rules))
  end)

  it("checks list items by the rule for the rest", function()
    local rules = { ["..."] = { type = "string" }, history = { type = "integer" } }
    assert.same({ "a", "b", history = 1 }, options.check("sse.x", { "a", "b", history = 1 }, rules))
    assert.match("item 2 must be a string, got 5$", support.message(options.check, "sse.x", { "a", 5 }, rules))
    assert.match("known options: history%)", support.message(options.check, "sse.x", { zebra = 5 }, rules))
  end)
end)

describe("options.argument", function()
  it("converts", function()
    assert.equal(0.5, options.argument("sse.every", 1, "interval", "500ms", "duration"))
    assert.equal(7, options.argument("sse.every", 1, "count", nil, { type = "integer", default = 7 }))
  end)

  it("names function, place and expectation", function()
    local message = support.message(options.argument, "sse.every", 1, "interval", true, "duration")
    assert.match(
      "sse%.every: argument 1 %(interval%) must be a duration such as \"500ms\", \"3s\" or a number of seconds, "
        .. "got boolean$",
      message
    )
    assert.match("got nil$", support.message(options.argument, "sse.every", 2, "task", nil, "function"))
  end)
end)

describe("options.raise", function()
  it("skips the library and C functions", function()
    local call = assert(load("local raise, message = ... ; raise(message)", "=sse/deep.lua"))
    local script = assert(load("\n\nlocal call, raise = ... ; call(raise, 'no')", "=feeds.lua"))
    assert.equal("feeds.lua:3: no", support.message(script, call, options.raise))
  end)

  it("gives the plain message when no script is on the stack", function()
    local library = assert(load("local raise = ... ; raise 'no'", "=sse/deep.lua"))
    local thread = coroutine.create(library)
    local ok, message = coroutine.resume(thread, options.raise)
    assert.is_false(ok)
    assert.equal("no", message)
  end)
end)
