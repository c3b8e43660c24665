-- Random numbers of a property loop: prints the seed, so that a failure can be repeated with SEED=... in the
-- environment.

---@param what string
return function(what)
  local seed = math.tointeger(tonumber(os.getenv "SEED")) or os.time()
  math.randomseed(seed)
  io.write("[", what, " SEED=", seed, "]")
end
