# Several nginx that are one, on a redis-server.

## four ports for make fleet-demo: of the users, and of each nginx
FLEET_PORTS     ?= 8080 8081 8082 8083
## simulated schedules of make fleet
FLEET_SCHEDULES ?= 100000

.PHONY: fleet fleet-demo

## the tests of fleets, and 100,000 random schedules of simulated ones
## (FLEET_SCHEDULES)
fleet: test-packages build unit-programs $(FAULTS)
	@$(TEST_RUN) TEST_CANARY_FLEET=1 prove -j $(PROVE_JOBS) -r t/fleet
	@FLEET_SCHEDULES='$(FLEET_SCHEDULES)' $(UNIT_DIR)/fleet_sim_test

## watch a fleet of three: a good rollout, while a node is cut off, and a bad
## one (FLEET_PORTS)
fleet-demo:
	@tools/packages $(sort $(BUILD_PACKAGES) perl redis-server)
	@$(MAKE) --no-print-directory build
	@tools/fleet-demo build/$(MODULE) $(FLEET_PORTS)

FLEET_CHAOS := build/fleet-chaos

## what repeats the choices of a run of make fleet-chaos
SEED            ?=
## its seconds
CHAOS_TIME      ?= 120

.PHONY: fleet-chaos

## five nginx that are one, while operators, nodes, Redis and the network do
## what they like at random; then they have to be one again, and what was seen
## to be right (SEED, CHAOS_TIME)
fleet-chaos: test-packages build $(FLEET_CHAOS)/clock.so
	@$(TEST_RUN) t/fleet-chaos/chaos '$(SEED)' '$(CHAOS_TIME)'

$(FLEET_CHAOS)/clock.so: t/fleet-chaos/clock.c
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -Wall -Wextra -Werror -O1 -g -shared -fPIC -o $@ $<
